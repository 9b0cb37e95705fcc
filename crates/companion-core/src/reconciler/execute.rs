//! The execution of a plan: each action is one call of a port. It makes no choices.
//!
//! Steps are begun in the plan's order. What is short is done at once, under the host's lock; what
//! takes its time (a hook, a build, a job) goes on as a task of its own, so that no companion waits
//! for another. A companion's steps end at its first failure: the next round, not a retry, repairs.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::observe::bounded;
use super::tasks::Tasks;
use super::{Attempts, Event, EventSink, Limits};
use crate::model::companion::CompanionName;
use crate::model::observed::Work;
use crate::model::revision::Fingerprint;
use crate::model::unit::JobResult;
use crate::plan::{Action, Condition, Plan, Step};
use crate::ports::{Host, Job, PortError, PortErrorKind, PortResult};

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The effect was had.
    Done,
    /// It was begun and goes on; a later round sees its end.
    Begun,
    /// It was not needed any more when its turn came.
    NotNeeded,
    /// It failed.
    Failed {
        /// What can be done about it.
        kind: PortErrorKind,
        /// What went wrong.
        error: String,
    },
    /// An earlier step that it depends on failed.
    Skipped,
}

/// The outcomes of a plan's steps, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a failure that nobody reads is a failure that nobody mends"]
pub struct Execution {
    /// One outcome for each step.
    pub outcomes: Vec<Outcome>,
}

impl Execution {
    /// Whether no step failed.
    pub fn is_clean(&self) -> bool {
        !self.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { .. }))
    }
}

pub(super) struct Executor<'a> {
    pub(super) host: &'a Host,
    pub(super) limits: &'a Limits,
    pub(super) tasks: &'a mut Tasks,
    pub(super) attempts: &'a mut Attempts,
    pub(super) events: &'a dyn EventSink,
    /// The work that was already counted in this plan.
    pub(super) begun: BTreeSet<(CompanionName, Work)>,
}

impl Executor<'_> {
    pub(super) async fn execute(mut self, plan: &Plan) -> Execution {
        let mut stopped: BTreeSet<&CompanionName> = BTreeSet::new();
        let mut reload_failed = false;
        let mut outcomes = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let halted = step.serves().all(|name| stopped.contains(name));
            let outcome = if halted || (step.after_reload && reload_failed) {
                Outcome::Skipped
            } else {
                self.take(step).await
            };
            if let Outcome::Failed { .. } = outcome {
                stopped.extend(step.companion.as_ref());
                reload_failed |= matches!(step.action, Action::DaemonReload { .. });
            }
            outcomes.push(outcome);
        }
        Execution { outcomes }
    }

    async fn take(&mut self, step: &Step) -> Outcome {
        info!("{step}");
        self.events.on_event(&Event::StepBegun(step));
        let outcome = match self.effect(step).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let (kind, error) = (error.kind(), error.chain());
                warn!("{step}: failed: {error}");
                for name in step.serves() {
                    self.attempts.failed(name, step.work, kind, &error);
                }
                Outcome::Failed { kind, error }
            }
        };
        self.events.on_event(&Event::StepEnded(step, &outcome));
        outcome
    }

    /// Counts the attempt that `step` is part of, once for all its steps.
    fn begin(&mut self, name: &CompanionName, step: &Step, input: Fingerprint) {
        if self.begun.insert((name.clone(), step.work)) {
            self.attempts.begin(name, step.work, input);
        }
    }

    async fn effect(&mut self, step: &Step) -> PortResult<Outcome> {
        let limit = self.limits.act;
        let Some(name) = &step.companion else {
            return self.reload(step).await;
        };
        if let Action::StartUnit(condition) | Action::RestartUnit(condition) = &step.action {
            return self.start(step, name, condition).await;
        }
        self.begin(name, step, step.input);
        match &step.action {
            Action::RunHook(hook) => self.tasks.run_hook(step, hook.clone()),
            Action::EnsureImage(source) => self.tasks.ensure_image(step, source.clone()),
            Action::PruneImages(leftovers) => self.tasks.prune_images(step, leftovers.clone()),
            Action::StopUnit => {
                let job = bounded(limit, self.host.services.stop(name)).await?;
                self.tasks.wait_for_job(step, job);
            }
            short => {
                self.short_effect(name, short).await?;
                return Ok(Outcome::Done);
            }
        }
        Ok(Outcome::Begun)
    }

    /// The effects that are had at once.
    async fn short_effect(&mut self, name: &CompanionName, action: &Action) -> PortResult<()> {
        let limit = self.limits.act;
        match action {
            Action::WriteUnit(unit) => bounded(limit, self.host.units.write(unit)).await,
            Action::RemoveUnit => bounded(limit, self.host.units.remove(name)).await,
            Action::ResetFailed => bounded(limit, self.host.services.reset_failed(name)).await,
            Action::RemoveConfig(hook) => bounded(limit, self.host.hooks.remove(hook)).await,
            Action::RemoveContainer => bounded(limit, self.host.containers.remove(name)).await,
            // Begun elsewhere: none of them is short.
            Action::RunHook(_)
            | Action::EnsureImage(_)
            | Action::PruneImages(_)
            | Action::StopUnit
            | Action::StartUnit(_)
            | Action::RestartUnit(_)
            | Action::DaemonReload { .. } => Ok(()),
        }
    }

    async fn reload(&mut self, step: &Step) -> PortResult<Outcome> {
        if let Action::DaemonReload { wanted_by } = &step.action {
            for (name, input) in wanted_by {
                self.begin(name, step, *input);
            }
        }
        bounded(self.limits.reload, self.host.services.reload()).await?;
        Ok(Outcome::Done)
    }

    async fn start(
        &mut self,
        step: &Step,
        name: &CompanionName,
        condition: &Condition,
    ) -> PortResult<Outcome> {
        let limit = self.limits.act;
        let names = BTreeSet::from([name.clone()]);
        let now = bounded(limit, self.host.services.observe(&names)).await?;
        if !now.get(name).is_some_and(|service| condition.holds(service)) {
            return Ok(Outcome::NotNeeded);
        }
        self.begin(name, step, step.input);
        let job: Job = match step.action {
            Action::RestartUnit(_) => bounded(limit, self.host.services.restart(name)).await?,
            _ => bounded(limit, self.host.services.start(name)).await?,
        };
        self.tasks.wait_for_job(step, job);
        Ok(Outcome::Begun)
    }
}

/// The error of a job that did not end well.
pub(super) fn job_error(name: &CompanionName, result: JobResult) -> PortResult<()> {
    match result {
        // A job that another one replaced says nothing of the service: it is looked at again.
        JobResult::Done | JobResult::Canceled | JobResult::Skipped => Ok(()),
        JobResult::Timeout | JobResult::Failed | JobResult::Dependency | JobResult::Other => {
            let message = format!("the job for `{name}.service` ended as `{result}`");
            Err(PortError::new(PortErrorKind::Transient, message))
        }
    }
}
