//! Executes a plan: each action is one port call. It makes no decisions.
//!
//! Steps start in the plan's order. Short calls run inline; long ones (a hook, a build, a job) run as separate
//! tasks, so that no companion waits for another. A companion's steps stop at its first failure; the next
//! reconcile repairs it.

use std::collections::{BTreeSet, VecDeque};

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
use crate::plan::{Action, Step};
use crate::ports::{Host, PortError, PortResult, Problem};

/// A plan in execution, between two port calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Executor {
    now: Monotonic,
    /// The remaining steps.
    steps: VecDeque<Step>,
    /// Whether the condition of the first remaining step was just read and holds.
    ready: bool,
    /// The companions with a failed step, or for which the load failed.
    stopped: BTreeSet<CompanionName>,
    /// The work already counted in this plan.
    started: BTreeSet<TaskKey>,
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

impl Executor {
    /// Returns an executor of the [steps](Reconcile::steps) of `reconcile`.
    pub fn new(reconcile: &Reconcile) -> Self {
        for violation in &reconcile.violations {
            error!("invariant violation: plan breaks {violation}; skipping the affected steps");
        }
        Self { now: reconcile.at, steps: reconcile.steps().into(), ..Self::default() }
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
        // There is nothing to do for a companion with a failed step, and nothing to load.
        step.serves.retain(|(name, _input)| !self.stopped.contains(name));
        if step.serves.is_empty() {
            return Some(Advance::Taken { outcome: Outcome::Skipped, task: None });
        }
        let (host, limits) = (context.host, context.limits);
        let was_ready = std::mem::take(&mut self.ready);
        if !was_ready {
            info!("{step}");
            context.events.on_event(&Event::StepBegun(&step));
        }
        let result = match (step.action.condition(), step.companion()) {
            (Some(condition), Some(name)) if !was_ready => {
                match bounded(limits.act, service_of(host, name)).await {
                    Ok(service) if condition.holds(&service) => {
                        self.ready = true;
                        self.steps.push_front(step);
                        return Some(Advance::Ready);
                    }
                    Ok(_) => Ok((Outcome::NotNeeded, None)),
                    Err(error) => Err(error),
                }
            }
            _ => {
                self.count(&step, memory, context);
                act(&step, host, limits).await.map(|stage| match stage {
                    None => (Outcome::Done, None),
                    Some(stage) => (Outcome::Started, Task::new(&step, stage)),
                })
            }
        };
        let (outcome, task) =
            result.unwrap_or_else(|error| (self.failed(&step, &error, memory), None));
        if let Some(task) = &task {
            memory.started(task.key.clone(), task.attempt);
        }
        context.events.on_event(&Event::StepEnded(&step, &outcome));
        Some(Advance::Taken { outcome, task: task.map(Box::new) })
    }

    /// Before the first of several writes, has the host validate their units together.
    async fn prepare(&mut self, host: &Host, limits: &Limits) {
        let unit = |step: &Step| match &step.action {
            Action::WriteUnit(unit) => Some((**unit).clone()),
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
        for (name, _input) in &step.serves {
            memory.failed(name, step.work, &problem);
            self.stopped.insert(name.clone());
        }
        Outcome::Failed(problem)
    }

    /// Counts the attempts of `step`, once for all steps of the same work.
    fn count(&mut self, step: &Step, memory: &mut Memory, context: &mut Context<'_>) {
        for (name, input) in &step.serves {
            if self.started.insert((name.clone(), step.work)) {
                let jitter = (context.jitter)();
                memory.begin(name, step.work, *input, self.now, jitter);
            }
        }
    }
}

/// Makes the port call of `step`. Returns what remains to be done as a task.
async fn act(step: &Step, host: &Host, limits: &Limits) -> PortResult<Option<Stage>> {
    let Some((name, _input)) = step.serves.first() else { return Ok(None) };
    let begin = async |verb| Ok(Some(Stage::Wait(host.services.begin(name, verb).await?)));
    let call = async {
        match &step.action {
            Action::RunHook { hook, claimed } => {
                return Ok(Some(Stage::Render(hook.clone(), claimed.clone())));
            }
            Action::EnsureImage(source) => return Ok(Some(Stage::Ensure(source.clone()))),
            Action::PruneImages(images) => return Ok(Some(Stage::Prune(images.clone()))),
            Action::StartUnit(_) => return begin(Verb::Start).await,
            Action::RestartUnit(_) => return begin(Verb::Restart).await,
            Action::StopUnit(_) => return begin(Verb::Stop).await,
            Action::LoadUnits => host.services.reload().await?,
            Action::WriteUnit(unit) => host.units.write(unit).await?,
            Action::RemoveUnit => host.units.remove(name).await?,
            Action::ResetFailed => host.services.reset_failed(name).await?,
            Action::RemoveConfig(hook) => host.hooks.remove(hook).await?,
            Action::SweepConfigs { hook, keep } => host.hooks.sweep(hook, *keep).await?,
            Action::RemoveContainer => host.containers.remove(name).await?,
        }
        Ok(None)
    };
    let limit = if step.action == Action::LoadUnits { limits.reload } else { limits.act };
    bounded(limit, call).await
}
