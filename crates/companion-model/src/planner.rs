//! The planner: derives a plan from the desired and the observed state.
//!
//! Pure, synchronous and total: it uses no port, clock, logger or file. The stages in order: `hooks`, `images`,
//! `units`, `services`, `cleanup`; `superseded` runs before them, `prune` removes a companion in reverse order,
//! and `backoff` computes retry delays.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::{DesiredCompanion, DesiredState, Generation, Target};
use crate::model::host::HostTraits;
use crate::model::observed::{
    Attempt, Failure, History, Observation, ObservedCompanion, ObservedState, Work,
};
use crate::model::revision::Fingerprint;
use crate::plan::{Action, Blocked, CompanionStep, Load, Plan, Reason, Step, WaitingOn};

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
    let mut builder = PlanBuilder::new(observed, now);
    for (name, target) in &desired.targets {
        let Some(seen) = observed.companions.get(name) else {
            builder.block(name, unseen());
            continue;
        };
        let plan = &mut builder.of(name, target.generation());
        match target {
            Target::Present(companion) => keep(plan, companion, seen),
            Target::Removed(removed) => prune::rule(plan, removed, seen),
        }
    }
    for name in observed.companions.keys() {
        if desired.generation(name).is_none() {
            builder.block(name, WaitingOn::Orphan);
        }
    }
    builder.finish()
}

fn unseen() -> WaitingOn {
    WaitingOn::Observation { what: "the companion", error: "not observed".to_owned() }
}

/// The rules for a desired companion.
fn keep(plan: &mut CompanionPlan<'_, '_>, desired: &DesiredCompanion, seen: &ObservedCompanion) {
    superseded::rule(plan, desired, seen);
    // Without a service manager nothing is rendered or built, because it could not be started.
    if let Observation::Unknown(error) = &seen.service {
        plan.unknown("service", error);
        return;
    }
    if units::container_is_unmanaged(plan, seen) {
        return;
    }
    // Plan both before waiting for either: they are independent.
    let config = hooks::rule(plan, desired, seen);
    let image = images::rule(plan, desired, seen);
    let (hooks::Config::Ready(config), Some(image)) = (config, image) else {
        return;
    };
    let Some(loading) = units::rule(plan, desired, image, config, seen) else {
        return;
    };
    if services::rule(plan, loading, seen) && !loading.after_load {
        cleanup::rule(plan, desired, loading.revision, seen);
    }
}

/// Builds a plan: collects steps by phase, so that `finish` alone defines their order.
struct PlanBuilder<'h> {
    history: &'h History,
    traits: HostTraits,
    now: Monotonic,
    /// The images named by units and processes; `None` if any of them could not be read.
    named_images: Option<BTreeSet<Fingerprint>>,
    background: Vec<CompanionStep>,
    files: Vec<CompanionStep>,
    load: BTreeMap<CompanionName, (Fingerprint, Reason)>,
    services: Vec<CompanionStep>,
    cleanup: Vec<CompanionStep>,
    blocked: Vec<Blocked>,
    recovered: Vec<(CompanionName, Work)>,
    superseded: Vec<(CompanionName, Work)>,
}

impl<'h> PlanBuilder<'h> {
    fn new(observed: &'h ObservedState, now: Monotonic) -> Self {
        let seen = observed.companions.values();
        let is_read =
            seen.clone().all(|seen| seen.unit.known().is_some() && seen.service.known().is_some());
        let named = seen.flat_map(ObservedCompanion::claims).map(|revision| revision.image);
        Self {
            history: &observed.history,
            traits: observed.traits,
            now,
            named_images: is_read.then(|| named.collect()),
            background: Vec::new(),
            files: Vec::new(),
            load: BTreeMap::new(),
            services: Vec::new(),
            cleanup: Vec::new(),
            blocked: Vec::new(),
            recovered: Vec::new(),
            superseded: Vec::new(),
        }
    }

    fn of<'d>(
        &'d mut self,
        name: &'d CompanionName,
        generation: Generation,
    ) -> CompanionPlan<'d, 'h> {
        CompanionPlan { builder: self, name, generation }
    }

    fn block(&mut self, name: &CompanionName, waiting_on: WaitingOn) {
        self.blocked.push(Blocked { companion: name.clone(), waiting_on, retry_at: None });
    }

    /// Orders the steps: long-running work first, then files, one load for all of them, services, and cleanup
    /// last.
    fn finish(self) -> Plan {
        let files = self.background.into_iter().chain(self.files);
        let mut steps: Vec<_> = files.map(Step::from).collect();
        let first = self.load.first_key_value().map(|(_, (_, reason))| reason.clone());
        if let Some(reason) = first {
            let wanted_by: Vec<_> =
                self.load.into_iter().map(|(name, (input, _))| (name, input)).collect();
            steps.push(Step::Load(Load { wanted_by, reason }));
        }
        let services = self.services.into_iter().chain(self.cleanup);
        steps.extend(services.map(Step::from));
        let now = self.now;
        let retry = self.blocked.iter().filter_map(|blocked| blocked.retry_at).min();
        Plan {
            steps,
            blocked: self.blocked,
            recovered: self.recovered,
            superseded: self.superseded,
            requeue_after: retry.map(|at| now.until(at)),
        }
    }
}

/// Returns a digest of an attempt's inputs, comparable only within one process.
fn input_of(generation: Generation, parts: &impl Hash) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    (generation, parts).hash(&mut hasher);
    Fingerprint::of_hash(hasher.finish())
}

/// The view of the plan builder for one companion.
struct CompanionPlan<'d, 'h> {
    builder: &'d mut PlanBuilder<'h>,
    name: &'d CompanionName,
    generation: Generation,
}

impl CompanionPlan<'_, '_> {
    /// Returns the input digest of an attempt: a new generation or a change of `parts` resets failures.
    fn input(&self, parts: &impl Hash) -> Fingerprint {
        input_of(self.generation, parts)
    }

    fn step(&self, action: Action, reason: Reason, input: Fingerprint) -> CompanionStep {
        let companion = self.name.clone();
        let generation = self.generation;
        let work = action.work();
        CompanionStep { companion, generation, action, work, reason, input, after_load: false }
    }

    /// Plans the shared load; returns `false` on a host where written units take effect immediately.
    fn load(&mut self, input: Fingerprint, reason: Reason) -> bool {
        let loads = self.builder.traits.loads_units;
        if loads {
            self.builder.load.insert(self.name.clone(), (input, reason));
        }
        loads
    }

    fn block(&mut self, waiting_on: WaitingOn) {
        self.builder.block(self.name, waiting_on);
    }

    fn block_until(&mut self, waiting_on: WaitingOn, retry_at: Monotonic) {
        let companion = self.name.clone();
        self.builder.blocked.push(Blocked { companion, waiting_on, retry_at: Some(retry_at) });
    }

    fn unknown(&mut self, what: &'static str, error: &str) {
        self.block(WaitingOn::Observation { what, error: error.to_owned() });
    }

    /// Records that `work`, which was attempted, is in the desired state.
    fn recovered(&mut self, work: Work) {
        if self.failure(work).is_some() {
            self.builder.recovered.push((self.name.clone(), work));
        }
    }

    fn running(&self, work: Work) -> Option<Attempt> {
        self.builder.history.running.get(self.name)?.get(&work).copied()
    }

    fn is_running(&self, work: Work) -> bool {
        self.running(work).is_some()
    }

    /// Returns any running work of this companion.
    fn any_running(&self) -> Option<Work> {
        Some(*self.builder.history.running.get(self.name)?.first_key_value()?.0)
    }

    fn failure(&self, work: Work) -> Option<&Failure> {
        self.builder.history.failures.get(self.name)?.get(&work)
    }

    /// Returns the failure of `work` whose back-off applies to an attempt with `input`.
    fn holding_failure(&self, work: Work, input: Fingerprint) -> Option<Failure> {
        let failure = self.failure(work)?;
        (failure.input == input && failure.retry_at > self.builder.now).then(|| failure.clone())
    }

    /// Returns whether `work` with `input` is in back-off; if so, adds the condition to the plan.
    fn backs_off(&mut self, work: Work, input: Fingerprint) -> bool {
        let Some(failure) = self.holding_failure(work, input) else {
            return false;
        };
        let Failure { count, retry_at, problem, .. } = failure;
        self.block_until(
            WaitingOn::BackOff { work, failures: count, error: problem.message },
            retry_at,
        );
        true
    }
}

#[cfg(test)]
mod tests;
