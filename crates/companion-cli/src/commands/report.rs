//! How a pass, a plan and a companion are told, in lines and as JSON.
//!
//! The JSON shapes are stable: a field is added now and then, none changes its meaning, and
//! `version` grows if one ever must.

use std::collections::BTreeSet;

use archipelago::{Wish, failures_of, why};
use companion_core::model::companion::CompanionName;
use companion_core::plan::{Blocked, Plan, Reason, Step, WaitingOn};
use companion_core::reconciler::{Outcome, Reconciliation, Round};
use companion_core::status::{CompanionStatus, status};
use serde::Serialize;

use crate::error::Verdict;
use crate::output::{Output, Style, Table};

/// The version of the JSON shapes.
pub(super) const VERSION: u32 = 1;

/// A step, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct StepRow {
    /// The companion; null for the reload, which serves all.
    companion: Option<CompanionName>,
    /// The verb, such as `write-unit`.
    action: &'static str,
    /// Why, in one word, such as `unit-file-missing`.
    reason: String,
    /// Why, for people.
    why: String,
    /// `done`, `begun`, `not-needed`, `failed` or `skipped`; absent in a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// What went wrong, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl StepRow {
    pub(super) fn planned(step: &Step) -> Self {
        Self {
            companion: step.companion.clone(),
            action: step.action.verb(),
            reason: reason_word(&step.reason),
            why: step.reason.to_string(),
            outcome: None,
            error: None,
        }
    }

    fn taken((step, outcome): &(Step, Outcome)) -> Self {
        let (word, error) = match outcome {
            Outcome::Done => ("done", None),
            Outcome::Begun => ("begun", None),
            Outcome::NotNeeded => ("not-needed", None),
            Outcome::Failed { error, .. } => ("failed", Some(error.clone())),
            Outcome::Skipped => ("skipped", None),
        };
        Self { outcome: Some(word), error, ..Self::planned(step) }
    }
}

/// The reason in one word: its name, whatever it carries.
pub(super) fn reason_word(reason: &Reason) -> String {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(tagged)) => tagged.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// What a companion waits on, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct BlockedRow<'a> {
    companion: &'a CompanionName,
    waiting_on: &'a WaitingOn,
    why: String,
    /// Seconds until it is looked at again, apart from the regular tick.
    retry_in: Option<u64>,
}

impl<'a> BlockedRow<'a> {
    pub(super) fn of(blocked: &'a Blocked, round: &Round) -> Self {
        Self {
            companion: &blocked.companion,
            waiting_on: &blocked.waiting_on,
            why: blocked.waiting_on.to_string(),
            retry_in: blocked.retry_at.map(|at| round.at.until(at).as_secs()),
        }
    }
}

#[derive(Serialize)]
struct PassReport<'a> {
    version: u32,
    done: bool,
    rounds: usize,
    steps: Vec<StepRow>,
    companions: &'a [CompanionStatus],
    removed: Vec<&'a CompanionName>,
}

/// Tells how a pass ended for the companions that were asked for, or for all.
pub(super) fn pass(
    pass: &Reconciliation,
    asked: Option<(&BTreeSet<CompanionName>, Wish)>,
    output: &Output,
) -> Verdict {
    let names = asked.map(|(names, _)| names);
    let concerns = |name: &CompanionName| names.is_none_or(|names| names.contains(name));
    let companions: Vec<_> =
        status(&pass.last).into_iter().filter(|status| concerns(&status.name)).collect();
    let present: BTreeSet<_> = companions.iter().map(|status| &status.name).collect();
    let steps = pass.steps.iter();
    // Without names: those that this pass removed, not all that were ever removed.
    let touched = |name: &CompanionName| {
        names.is_some() || steps.clone().any(|(step, _)| step.companion.as_ref() == Some(name))
    };
    let removed: Vec<_> = pass
        .last
        .desired
        .removed
        .keys()
        .filter(|name| concerns(name) && !present.contains(name) && touched(name))
        .collect();
    let unmet = asked.map(|(names, wish)| failures_of(pass, names, wish)).unwrap_or_default();
    let done = companions.iter().all(|status| status.health.is_healthy())
        && unmet.is_empty()
        && pass.last.violations.is_empty();
    if output.is_json() {
        let steps = pass.steps.iter().map(StepRow::taken).collect();
        let rounds = pass.rounds;
        let companions = &companions;
        output.json(&PassReport { version: VERSION, done, rounds, steps, companions, removed });
        return Verdict::of(done);
    }
    let mut table = Table::default();
    for status in &companions {
        let health = output.styled(Style::of(status.health), &status.health.to_string());
        let why = match status.health.is_healthy() {
            true => String::new(),
            false => why(pass, status),
        };
        table.row([status.name.to_string(), health, why]);
    }
    for name in &removed {
        table.row([name.to_string(), output.styled(Style::Good, "gone"), String::new()]);
    }
    // What another process wished meanwhile stands in no row of its own, or in one that looks well.
    let told = |name: &CompanionName| {
        companions.iter().any(|status| status.name == *name && !status.health.is_healthy())
    };
    for (name, error) in unmet.iter().filter(|(name, _)| !told(name)) {
        table.row([name.to_string(), output.styled(Style::Bad, "not done"), error.why.clone()]);
    }
    if companions.is_empty() && removed.is_empty() && unmet.is_empty() {
        output.line("nothing to do: no companions");
    }
    table.lines().iter().for_each(|line| output.line(line));
    Verdict::of(done)
}

/// Tells what a plan does and what it waits on, in lines.
pub(super) fn plan_lines(plan: &Plan, round: &Round, output: &Output) {
    for step in &plan.steps {
        output.line(step.to_string());
    }
    for blocked in &plan.blocked {
        let row = BlockedRow::of(blocked, round);
        let waits = output.styled(Style::Busy, "waits");
        let again = row.retry_in.map(|seconds| format!(" (again in {seconds} s)"));
        let (name, why) = (&blocked.companion, &row.why);
        output.line(format!("{waits} {name}: {why}{}", again.unwrap_or_default()));
    }
    if plan.is_converged() {
        output.line("nothing to do");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_word_whatever_it_carries() {
        assert_eq!(reason_word(&Reason::UnitFileMissing), "unit-file-missing");
        assert_eq!(reason_word(&Reason::Failed("signal".to_owned())), "failed");
    }
}
