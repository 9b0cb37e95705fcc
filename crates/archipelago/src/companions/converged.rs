//! The result of a call for its companions.

use std::collections::BTreeSet;

use companion_core::model::companion::CompanionName;
use companion_core::plan::Step;
use companion_core::reconciler::{Convergence, Outcome};
use companion_core::status::{CompanionStatus, Health, status};
use serde::Serialize;

use super::Concerned;
use crate::published::{EventKind, EventRecord, StatusReport, reason_word};

/// A companion that is not as desired, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("companion `{companion}` is {health}: {why}")]
pub struct CompanionError {
    /// The companion.
    pub companion: CompanionName,
    /// How it is.
    pub health: Health,
    /// Why, in words for people.
    pub why: String,
}

/// The companions that are not as desired; empty when all are.
pub type Failures = Vec<CompanionError>;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "only this says whether the companions run"]
pub struct Converged {
    /// The steps that were taken, in their order.
    pub steps: Vec<StepReport>,
    /// How the companions are that it was for.
    pub companions: Vec<CompanionStatus>,
    /// What kept the leader from deciding, for people.
    pub problems: Vec<String>,
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// The companion; null for the reload, which serves all.
    pub companion: Option<CompanionName>,
    /// The verb, such as `write-unit`.
    pub action: String,
    /// Why, in one word, such as `unit-file-missing`.
    pub reason: Option<String>,
    /// Why, for people.
    pub why: String,
    /// `done`, `started`, `not-needed`, `failed` or `skipped`; absent in a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// What went wrong, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StepReport {
    /// A step that is due.
    pub fn planned(step: &Step) -> Self {
        Self {
            companion: step.companion().cloned(),
            action: step.action.verb().to_owned(),
            reason: reason_word(&step.reason),
            why: step.reason.to_string(),
            outcome: None,
            error: None,
        }
    }

    fn taken((step, outcome): &(Step, Outcome)) -> Self {
        let (word, error) = match outcome {
            Outcome::Done => ("done", None),
            Outcome::Started => ("started", None),
            Outcome::NotNeeded => ("not-needed", None),
            Outcome::Failed(problem) => ("failed", Some(problem.message.clone())),
            Outcome::Skipped => ("skipped", None),
        };
        Self { outcome: Some(word), error, ..Self::planned(step) }
    }

    /// The step that `started` is about, with the event that ended it.
    fn of_events(started: &EventRecord, all: &[EventRecord]) -> Self {
        let is_end = |event: &&EventRecord| {
            event.kind != EventKind::Started
                && (&event.companion, &event.action) == (&started.companion, &started.action)
                && event.at >= started.at
        };
        let end = all.iter().find(is_end);
        let (outcome, error) = match end.map(|end| end.kind) {
            Some(EventKind::Done) => ("done", None),
            Some(EventKind::NotNeeded) => ("not-needed", None),
            Some(EventKind::Failed) => ("failed", end.and_then(|end| end.message.clone())),
            Some(EventKind::Started | EventKind::State | EventKind::Leader) | None => {
                ("started", None)
            }
        };
        Self {
            companion: started.companion.clone(),
            action: started.action.clone(),
            reason: started.reason.clone(),
            why: started.message.clone().unwrap_or_default(),
            outcome: Some(outcome),
            error,
        }
    }
}

impl Converged {
    pub(super) fn of(convergence: &Convergence, names: Option<&BTreeSet<CompanionName>>) -> Self {
        let concerns = |status: &CompanionStatus| names.is_none_or(|it| it.contains(&status.name));
        let mut companions = status(&convergence.last);
        companions.retain(concerns);
        let violations = convergence.last.violations.iter();
        let problems = violations.map(|rule| format!("the plan violates {rule}")).collect();
        Self {
            steps: convergence.steps.iter().map(StepReport::taken).collect(),
            companions,
            problems,
        }
    }

    pub(super) fn of_report(
        report: StatusReport,
        events: &[EventRecord],
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Self {
        let concerns = |name: Option<&CompanionName>| match (name, names) {
            (Some(name), Some(names)) => names.contains(name),
            (None, _) | (_, None) => true,
        };
        let StatusReport { mut companions, problems, .. } = report;
        companions.retain(|status| concerns(Some(&status.name)));
        let started = events
            .iter()
            .filter(|event| event.kind == EventKind::Started && concerns(event.companion.as_ref()));
        let steps = started.map(|event| StepReport::of_events(event, events)).collect();
        Self { steps, companions, problems }
    }

    /// The companions that are not ready, whatever was asked of them.
    pub fn unready(&self) -> Failures {
        self.companions.iter().filter_map(unready).collect()
    }
}

/// The companions that are not what an intent asked of them, by their statuses: those to run that are not ready, and
/// those to be removed of which something is left, or that are desired again.
pub fn failures_of(companions: &[CompanionStatus], concerned: &Concerned) -> Failures {
    let status = |name: &CompanionName| companions.iter().find(|status| status.name == *name);
    let is_desired =
        |status: &CompanionStatus| !matches!(status.health, Health::Removing | Health::Orphaned);
    let failure = |name: &CompanionName, health, why: &str| {
        Some(CompanionError { companion: name.clone(), health, why: why.to_owned() })
    };
    let present = concerned.present.iter().filter_map(|name| match status(name) {
        Some(status) if is_desired(status) => unready(status),
        status => {
            let health = status.map_or(Health::Blocked, |status| status.health);
            failure(name, health, "no installed app needs it")
        }
    });
    let removed = concerned.removed.iter().filter_map(|name| match status(name)? {
        status if is_desired(status) => failure(name, status.health, "an installed app needs it"),
        status => unready(status),
    });
    present.chain(removed).collect()
}

fn unready(status: &CompanionStatus) -> Option<CompanionError> {
    let CompanionStatus { name, health, why, .. } = status;
    let failure =
        || CompanionError { companion: name.clone(), health: *health, why: why.join("; ") };
    (!health.is_healthy()).then(failure)
}
