//! The planner: derives a plan from the desired and the observed state.
//!
//! Pure, synchronous and total: it uses no port, clock, logger or file. The stages in order: `hooks`, `images`,
//! `units`, `services`, `cleanup`; `prune` removes a companion in reverse order, `superseded` drops outdated work,
//! and `backoff` computes retry delays.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::{DesiredCompanion, DesiredState, Generation, Target};
use crate::model::error::PortErrorKind;
use crate::model::observed::{Failure, Observation, ObservedCompanion, ObservedState, Work};
use crate::model::revision::Fingerprint;
use crate::plan::{Action, Blocked, Plan, Reason, Step, WaitingOn};

pub mod backoff;
mod cleanup;
mod hooks;
mod images;
mod prune;
mod services;
mod superseded;
mod units;

pub use prune::stop_input;
pub use services::{MIN_READY, RESTART_INTERVAL};

/// Plans the next steps of all companions.
///
/// `now` is the current time for the back-offs in `observed.history`.
pub fn plan(desired: &DesiredState, observed: &ObservedState, now: Monotonic) -> Plan {
    let mut plan = Plan { superseded: superseded::work(desired, observed), ..Plan::default() };
    let block = |plan: &mut Plan, name: &CompanionName, waiting_on| {
        plan.blocked.push(Blocked { companion: name.clone(), waiting_on, retry_at: None });
    };
    for (name, target) in &desired.targets {
        let Some(seen) = observed.companions.get(name) else {
            block(&mut plan, name, unread("the companion", NOT_OBSERVED));
            continue;
        };
        let generation = target.generation();
        let companion =
            &mut CompanionPlan { plan: &mut plan, observed, seen, now, name, generation };
        match target {
            Target::Present(desired) => keep(companion, desired),
            Target::Removed(removed) => prune::rule(companion, removed),
        }
    }
    for name in observed.companions.keys().filter(|name| !desired.targets.contains_key(name)) {
        block(&mut plan, name, WaitingOn::Orphan);
    }
    plan.steps.sort_by_key(|step| phase(&step.action));
    plan
}

/// Orders the steps: long-running work first, then files, one load for all of them, services, and cleanup last.
fn phase(action: &Action) -> u8 {
    match action {
        Action::RunHook { .. } | Action::EnsureImage(_) => 0,
        Action::WriteUnit(_) | Action::RemoveUnit => 1,
        Action::LoadUnits => 2,
        Action::ResetFailed
        | Action::StartUnit(_)
        | Action::RestartUnit(_)
        | Action::StopUnit(_) => 3,
        Action::RemoveContainer
        | Action::RemoveConfig(_)
        | Action::SweepConfigs { .. }
        | Action::PruneImages(_) => 4,
    }
}

const NOT_OBSERVED: &str = "not observed";

fn unread(what: &'static str, error: &str) -> WaitingOn {
    WaitingOn::Observation { what, error: error.to_owned() }
}

/// The rules for a desired companion.
fn keep(plan: &mut CompanionPlan<'_>, desired: &DesiredCompanion) {
    // Without a service manager nothing is rendered or built, because it could not be started.
    let Some(service) = plan.read("service", Some(&plan.seen.service)) else { return };
    if units::container_is_unmanaged(plan, service) {
        return;
    }
    // Plan both before waiting for either: they are independent.
    let config = hooks::rule(plan, desired);
    let image = images::rule(plan, desired);
    let (hooks::Config::Ready(config), Some(image)) = (config, image) else {
        return;
    };
    let Some(unit) = units::rule(plan, desired, image, config, service) else { return };
    if services::rule(plan, unit.revision, service) && unit.is_loaded {
        cleanup::rule(plan, desired, unit.revision);
    }
}

/// Returns a digest of an attempt's inputs, comparable only within one process.
fn input_of(generation: Generation, parts: &impl Hash) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    (generation, parts).hash(&mut hasher);
    Fingerprint::of_hash(hasher.finish())
}

/// The plan as one companion sees it: what was observed of it, and where its steps and conditions go.
struct CompanionPlan<'p> {
    plan: &'p mut Plan,
    observed: &'p ObservedState,
    seen: &'p ObservedCompanion,
    now: Monotonic,
    name: &'p CompanionName,
    generation: Generation,
}

impl<'p> CompanionPlan<'p> {
    /// Returns the input digest of an attempt: a new generation or a change of `parts` resets failures.
    fn input(&self, parts: &impl Hash) -> Fingerprint {
        input_of(self.generation, parts)
    }

    /// Plans a step; those of one phase stay in their order.
    fn step(&mut self, action: Action, reason: Reason, input: Fingerprint) {
        self.step_of(action.work(), action, reason, input);
    }

    fn step_of(&mut self, work: Work, action: Action, reason: Reason, input: Fingerprint) {
        let (serves, generation) = (vec![(self.name.clone(), input)], self.generation);
        self.plan.steps.push(Step { serves, generation, action, work, reason });
    }

    /// Plans the shared load; returns `false` on a host where written units take effect immediately.
    fn load(&mut self, input: Fingerprint, reason: Reason) -> bool {
        if !self.observed.traits.loads_units {
            return false;
        }
        let load = self.plan.steps.iter_mut().find(|step| step.action == Action::LoadUnits);
        let served = (self.name.clone(), input);
        match load {
            Some(load) => load.serves.push(served),
            None => self.plan.steps.push(Step {
                serves: vec![served],
                generation: Generation::default(),
                action: Action::LoadUnits,
                work: Work::Load,
                reason,
            }),
        }
        true
    }

    fn block(&mut self, waiting_on: WaitingOn) {
        self.block_until(waiting_on, None);
    }

    fn block_until(&mut self, waiting_on: WaitingOn, retry_at: Option<Monotonic>) {
        let companion = self.name.clone();
        self.plan.blocked.push(Blocked { companion, waiting_on, retry_at });
    }

    /// Waits for a transient state, which is observed again soon.
    fn wait(&mut self, waiting_on: WaitingOn) {
        self.block_until(waiting_on, Some(self.now.after(services::TRANSIENT_POLL)));
    }

    /// Returns the value of a read; if that failed, adds the condition to the plan.
    fn read<T>(&mut self, what: &'static str, seen: Option<&'p Observation<T>>) -> Option<&'p T> {
        let error = match seen {
            Some(Observation::Known(value)) => return Some(value),
            Some(Observation::Unknown(error)) => error,
            None => NOT_OBSERVED,
        };
        self.block(unread(what, error));
        None
    }

    /// Records that `work`, which was attempted, is in the desired state.
    fn recovered(&mut self, work: Work) {
        if self.failure(work).is_some() {
            self.plan.recovered.push((self.name.clone(), work));
        }
    }

    /// Returns whether `work` of an earlier reconcile is running.
    fn is_running(&self, work: Work) -> bool {
        let running = self.observed.history.running.get(self.name);
        running.is_some_and(|running| running.contains_key(&work))
    }

    fn failure(&self, work: Work) -> Option<&'p Failure> {
        self.observed.history.failures.get(self.name)?.get(&work)
    }

    /// Returns the failure of `work` whose back-off applies to an attempt with `input`.
    fn holding_failure(&self, work: Work, input: Fingerprint) -> Option<&'p Failure> {
        let failure = self.failure(work)?;
        (failure.input == input && failure.retry_at > self.now).then_some(failure)
    }

    /// Returns whether `work` with `input` is in back-off; if so, adds the condition to the plan.
    fn backs_off(&mut self, work: Work, input: Fingerprint) -> bool {
        let Some(failure) = self.holding_failure(work, input) else { return false };
        let message = failure.problem.message.clone();
        let waiting_on = match (work, failure.problem.kind) {
            (Work::Unit, PortErrorKind::Invalid) => WaitingOn::UnitRefused { message },
            _ => WaitingOn::BackOff { work, failures: failure.count, error: message },
        };
        self.block_until(waiting_on, Some(failure.retry_at));
        true
    }
}

#[cfg(test)]
mod tests;
