//! Executes a plan: each action is one port call. It makes no decisions.
//!
//! Steps start in the plan's order. Short calls run inline; long ones (a hook, a build, a job) run as separate
//! tasks, so that no companion waits for another. A companion's steps stop at its first failure; the next
//! reconcile repairs it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tracing::{error, info, warn};

use super::observe::{bounded, service_of};
use super::parts::Context;
use super::tasks::{Stage, Task};
use super::{Event, Limits, Outcome, Reconcile};
use crate::memory::{Memory, TaskKey};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::service::Verb;
use crate::model::unit::UnitSpec;
use crate::plan::{Action, CompanionStep, Condition, Step};
use crate::ports::{Host, PortError, PortResult, Problem};

/// A plan in execution, between two port calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Executor {
    now: Monotonic,
    /// The remaining steps.
    steps: VecDeque<Step>,
    /// Whether the condition of the first remaining step was just read and holds.
    ready: bool,
    /// The companions with a failed step.
    stopped: BTreeSet<CompanionName>,
    load_failed: bool,
    /// The work already counted in this plan.
    begun: BTreeSet<TaskKey>,
    /// Whether the host was asked to validate the units to write together.
    prepared: bool,
}

/// The progress of one [`Executor::step`] call.
#[derive(Debug)]
pub enum Advance {
    /// The condition of the next step was read and holds.
    Ready,
    /// A step was executed.
    Taken {
        /// Its outcome.
        outcome: Outcome,
        /// The task that it started; the caller must drive it.
        task: Option<Box<Task>>,
    },
}

/// The result of one port call.
enum Effect {
    Ready,
    Done,
    NotNeeded,
    Begun(Box<Task>),
}

impl Executor {
    /// Returns an executor of the [steps](Reconcile::steps) of `reconcile`.
    pub fn new(reconcile: &Reconcile) -> Self {
        for violation in &reconcile.violations {
            error!("invariant violation: plan breaks {violation}; skipping the affected steps");
        }
        Self {
            now: reconcile.at,
            steps: reconcile.steps().into(),
            ready: false,
            stopped: BTreeSet::new(),
            load_failed: false,
            begun: BTreeSet::new(),
            prepared: false,
        }
    }

    /// Returns the remaining steps in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter()
    }

    /// Returns whether the condition of the first remaining step was just read and holds.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Makes at most one port call that changes something; `None` when no step remains.
    pub async fn step(
        &mut self,
        memory: &mut Memory,
        context: &mut Context<'_>,
    ) -> Option<Advance> {
        self.prepare(context.host, context.limits).await;
        let mut step = self.steps.pop_front()?;
        if let Step::Load(load) = &mut step {
            // There is nothing to load for a companion whose unit file could not be changed.
            load.wanted_by.retain(|(name, _input)| !self.stopped.contains(name));
        }
        let halted = step.serves().all(|name| self.stopped.contains(name));
        if halted || (step.after_load() && self.load_failed) {
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
            memory.started(task.key.clone(), task.attempt);
        }
        context.events.on_event(&Event::StepEnded(&step, &outcome));
        Some(Advance::Taken { outcome, task })
    }

    /// Before the first of several writes, has the host validate their units together.
    async fn prepare(&mut self, host: &Host, limits: &Limits) {
        let unit = |step: &Step| match step.action() {
            Some(Action::WriteUnit(unit)) => Some((**unit).clone()),
            _ => None,
        };
        if self.prepared || self.steps.front().and_then(unit).is_none() {
            return;
        }
        self.prepared = true;
        let units: Vec<UnitSpec> = self.steps.iter().filter_map(unit).collect();
        if units.len() > 1 {
            // A unit that was not validated here is validated when it is written.
            let _ = tokio::time::timeout(limits.act, host.units.prepare(&units)).await;
        }
    }

    fn failed(&mut self, step: &Step, error: &PortError, memory: &mut Memory) -> Outcome {
        let problem = Problem::from(error);
        warn!("{step}: failed: {}", problem.message);
        for name in step.serves() {
            memory.failed(name, step.work(), &problem);
        }
        self.stopped.extend(step.companion().cloned());
        self.load_failed |= matches!(step, Step::Load(_));
        Outcome::Failed(problem)
    }

    /// Counts the attempts of `step`, once for all steps of the same work.
    fn count(&mut self, step: &Step, memory: &mut Memory, context: &mut Context<'_>) {
        for (name, input) in step.attempts() {
            if self.begun.insert((name.clone(), step.work())) {
                let jitter = (context.jitter)();
                memory.begin(name, step.work(), input, self.now, jitter);
            }
        }
    }

    async fn effect(
        &mut self,
        step: &Step,
        memory: &mut Memory,
        context: &mut Context<'_>,
    ) -> PortResult<Effect> {
        let (host, limits) = (context.host, context.limits);
        let condition = match step.action() {
            Some(
                Action::StartUnit(condition)
                | Action::RestartUnit(condition)
                | Action::CancelRestart(condition),
            ) => Some(condition),
            _ => None,
        };
        if let (Some(condition), Some(name)) = (condition, step.companion())
            && !self.ready
        {
            return condition_holds(name, condition, host, limits).await;
        }
        self.count(step, memory, context);
        match step {
            Step::Companion(step) => act(step, host, limits).await,
            Step::Load(_) => {
                bounded(limits.reload, host.services.reload()).await?;
                Ok(Effect::Done)
            }
        }
    }
}

/// Makes the port call of `step`, or starts its task.
async fn act(step: &CompanionStep, host: &Host, limits: &Limits) -> PortResult<Effect> {
    let name = &step.companion;
    let limit = limits.act;
    match &step.action {
        Action::RunHook { hook, claimed } => {
            return begun(step, Stage::Render(hook.clone(), claimed.clone()));
        }
        Action::EnsureImage(source) => return begun(step, Stage::Ensure(source.clone())),
        Action::PruneImages(images) => return begun(step, Stage::Prune(images.clone())),
        Action::StartUnit(_) => return request(step, Verb::Start, host, limit).await,
        Action::RestartUnit(_) => return request(step, Verb::Restart, host, limit).await,
        Action::StopUnit | Action::CancelRestart(_) => {
            return request(step, Verb::Stop, host, limit).await;
        }
        Action::WriteUnit(unit) => bounded(limit, host.units.write(unit)).await?,
        Action::RemoveUnit => bounded(limit, host.units.remove(name)).await?,
        Action::ResetFailed => bounded(limit, host.services.reset_failed(name)).await?,
        Action::RemoveConfig(hook) => bounded(limit, host.hooks.remove(hook)).await?,
        Action::SweepConfigs { hook, keep } => {
            bounded(limit, host.hooks.sweep(hook, *keep)).await?;
        }
        Action::RemoveContainer => bounded(limit, host.containers.remove(name)).await?,
    }
    Ok(Effect::Done)
}

fn begun(step: &CompanionStep, stage: Stage) -> PortResult<Effect> {
    Ok(Effect::Begun(Box::new(Task::new(step, stage))))
}

async fn request(
    step: &CompanionStep,
    verb: Verb,
    host: &Host,
    limit: Duration,
) -> PortResult<Effect> {
    let job = bounded(limit, host.services.begin(&step.companion, verb)).await?;
    begun(step, Stage::Wait(job))
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
