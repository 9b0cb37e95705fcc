//! The execution of a plan: each action is one call of a port. It makes no choices.
//!
//! Steps are begun in the plan's order. What is short is done at once; what
//! takes its time (a hook, a build, a job) goes on as a task of its own, so that no companion waits
//! for another. A companion's steps end at its first failure: the next reconcile, not a retry, repairs.

use std::collections::{BTreeSet, VecDeque};

use tracing::{info, warn};

use super::observe::{bounded, service_of};
use super::reconcile::Context;
use super::tasks::{Stage, Task, TaskKey};
use super::{Event, Limits, Memory};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::revision::Fingerprint;
use crate::model::unit::JobResult;
use crate::plan::{Action, Condition, Step};
use crate::ports::{Host, PortError, PortErrorKind, PortResult};

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The effect was had.
    Done,
    /// It was begun and goes on; a later reconcile sees its end.
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

/// A plan that is being carried out, between two calls of a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Executor {
    now: Monotonic,
    /// The steps that are left.
    steps: VecDeque<Step>,
    /// Whether the condition of the first of them was just read and holds.
    ready: bool,
    /// The companions of which a step failed.
    stopped: BTreeSet<CompanionName>,
    reload_failed: bool,
    /// The work that was already counted in this plan.
    begun: BTreeSet<TaskKey>,
}

/// How far one call of [`Executor::step`] went.
#[derive(Debug)]
pub enum Advance {
    /// The condition of the next step was read, and holds.
    Ready,
    /// A step was taken.
    Taken {
        /// What became of it.
        outcome: Outcome,
        /// The task that it began, for the caller to go on with.
        task: Option<Box<Task>>,
    },
}

/// What one call of a port came to.
enum Effect {
    Ready,
    Done,
    NotNeeded,
    Begun(Box<Task>),
}

impl Executor {
    /// The execution of `steps`, which were decided at `now`.
    pub fn new(steps: Vec<Step>, now: Monotonic) -> Self {
        Self {
            now,
            steps: steps.into(),
            ready: false,
            stopped: BTreeSet::new(),
            reload_failed: false,
            begun: BTreeSet::new(),
        }
    }

    /// The steps that are left, in their order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter()
    }

    /// Whether the condition of the first step left was just read and holds.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Goes on by at most one call of a port; `None` when no step is left.
    pub async fn step(
        &mut self,
        memory: &mut Memory,
        context: &mut Context<'_>,
    ) -> Option<Advance> {
        let mut step = self.steps.pop_front()?;
        if let Action::DaemonReload { wanted_by } = &mut step.action {
            // Of a companion whose file could not be changed there is nothing to load.
            wanted_by.retain(|(name, _input)| !self.stopped.contains(name));
        }
        let halted = step.serves().all(|name| self.stopped.contains(name));
        if halted || (step.after_reload && self.reload_failed) {
            return Some(Advance::Taken { outcome: Outcome::Skipped, task: None });
        }
        if !self.ready {
            info!("{step}");
            context.events.on_event(&Event::StepBegun(&step));
        }
        let (outcome, task) = match self.effect(&step, memory, context).await {
            Ok(Effect::Ready) => {
                self.ready = true;
                self.steps.push_front(step);
                return Some(Advance::Ready);
            }
            Ok(Effect::Done) => (Outcome::Done, None),
            Ok(Effect::NotNeeded) => (Outcome::NotNeeded, None),
            Ok(Effect::Begun(task)) => (Outcome::Begun, Some(task)),
            Err(error) => (self.failed(&step, &error, memory), None),
        };
        self.ready = false;
        if let Some(task) = &task {
            memory.task_begun(task);
        }
        context.events.on_event(&Event::StepEnded(&step, &outcome));
        Some(Advance::Taken { outcome, task })
    }

    fn failed(&mut self, step: &Step, error: &PortError, memory: &mut Memory) -> Outcome {
        let (kind, error) = (error.kind(), error.chain());
        warn!("{step}: failed: {error}");
        for name in step.serves() {
            memory.attempts.failed(name, step.work, kind, &error);
        }
        self.stopped.extend(step.companion.clone());
        self.reload_failed |= matches!(step.action, Action::DaemonReload { .. });
        Outcome::Failed { kind, error }
    }

    /// Counts the attempt that `step` is part of, once for all its steps.
    fn begin(
        &mut self,
        name: &CompanionName,
        step: &Step,
        input: Fingerprint,
        memory: &mut Memory,
        context: &mut Context<'_>,
    ) {
        if self.begun.insert((name.clone(), step.work)) {
            memory.attempts.begin(name, step.work, input, self.now, (context.jitter)());
        }
    }

    async fn effect(
        &mut self,
        step: &Step,
        memory: &mut Memory,
        context: &mut Context<'_>,
    ) -> PortResult<Effect> {
        let Some(name) = &step.companion else {
            return self.reload(step, memory, context).await;
        };
        let (host, limits) = (context.host, context.limits);
        let condition = match &step.action {
            Action::StartUnit(condition) | Action::RestartUnit(condition) => Some(condition),
            _ => None,
        };
        if let Some(condition) = condition.filter(|_| !self.ready) {
            return condition_holds(name, condition, host, limits).await;
        }
        self.begin(name, step, step.input, memory, context);
        let limit = limits.act;
        match &step.action {
            Action::RunHook { hook, claimed } => {
                return begun(name, step, Stage::Render(hook.clone(), claimed.clone()));
            }
            Action::EnsureImage(source) => return begun(name, step, Stage::Ensure(source.clone())),
            Action::PruneImages(images) => return begun(name, step, Stage::Prune(images.clone())),
            Action::StartUnit(_) => {
                let job = bounded(limit, host.services.start(name)).await?;
                return begun(name, step, Stage::Wait(job));
            }
            Action::RestartUnit(_) => {
                let job = bounded(limit, host.services.restart(name)).await?;
                return begun(name, step, Stage::Wait(job));
            }
            Action::StopUnit => {
                let job = bounded(limit, host.services.stop(name)).await?;
                return begun(name, step, Stage::Wait(job));
            }
            Action::WriteUnit(unit) => bounded(limit, host.units.write(unit)).await?,
            Action::RemoveUnit => bounded(limit, host.units.remove(name)).await?,
            Action::ResetFailed => bounded(limit, host.services.reset_failed(name)).await?,
            Action::RemoveConfig(hook) => bounded(limit, host.hooks.remove(hook)).await?,
            Action::SweepConfigs { hook, keep } => {
                bounded(limit, host.hooks.sweep(hook, *keep)).await?;
            }
            Action::RemoveContainer => bounded(limit, host.containers.remove(name)).await?,
            Action::DaemonReload { .. } => return self.reload(step, memory, context).await,
        }
        Ok(Effect::Done)
    }

    async fn reload(
        &mut self,
        step: &Step,
        memory: &mut Memory,
        context: &mut Context<'_>,
    ) -> PortResult<Effect> {
        if let Action::DaemonReload { wanted_by } = &step.action {
            for (name, input) in wanted_by {
                self.begin(name, step, *input, memory, context);
            }
        }
        bounded(context.limits.reload, context.host.services.reload()).await?;
        Ok(Effect::Done)
    }
}

fn begun(name: &CompanionName, step: &Step, stage: Stage) -> PortResult<Effect> {
    Ok(Effect::Begun(Box::new(Task::new(name, step, stage))))
}

async fn condition_holds(
    name: &CompanionName,
    condition: &Condition,
    host: &Host,
    limits: &Limits,
) -> PortResult<Effect> {
    let service = bounded(limits.act, service_of(host, name)).await?;
    Ok(if condition.holds(&service) { Effect::Ready } else { Effect::NotNeeded })
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
