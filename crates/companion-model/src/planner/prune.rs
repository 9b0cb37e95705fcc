//! The rules for a companion that is pending deletion: the stages are removed in reverse order.
//!
//! The service is stopped while its unit still exists, because the unit defines how: removing the unit first
//! would leave a running container. Nothing is removed while its state is unknown.

use super::hooks::unmanaged;
use super::{CompanionPlan, input_of};
use crate::model::desired::{Generation, RemovedCompanion};
use crate::model::hook::{HookState, Link};
use crate::model::observed::Work;
use crate::model::revision::Fingerprint;
use crate::model::service::{LoadedUnit, RunState, ServiceState};
use crate::model::unit::{ContainerState, UnitFile, UnitFileState};
use crate::plan::{Action, Reason, WaitingOn};

pub(super) fn rule(plan: &mut CompanionPlan<'_>, removed: &RemovedCompanion) {
    let seen = plan.seen;
    let Some(file) = plan.read("unit file", Some(&seen.unit)) else { return };
    let Some(service) = plan.read("service", Some(&seen.service)) else { return };
    let running = plan.observed.history.running.get(plan.name);
    if let Some((work, _)) = running.and_then(|running| running.first_key_value()) {
        return plan.block(WaitingOn::Running { work: *work });
    }
    if let UnitFileState::Unmanaged { what } = &file.state {
        // An unmanaged object has the name: report the managed remains, for the operator to remove.
        let rendered = seen.hook.as_ref().is_some_and(|hook| hook.known().is_none_or(is_rendered));
        if service.running.is_some() || rendered {
            plan.block(WaitingOn::Conflict { what: format!("{what} at {}", file.location) });
        }
        return;
    }
    if let LoadedUnit::Held { message } = &service.unit {
        return plan.block(WaitingOn::Held { message: message.clone() });
    }
    let ours = is_ours(file, service);
    if ours && !service.is_down() {
        return stop(plan, service);
    }
    if is_unnamed_start(service) {
        // Its unit was unloaded while it started: its process reports its revision once it runs.
        return plan.wait(WaitingOn::Starting);
    }
    // The observed state is part of the input: while each attempt removes something, the next follows
    // immediately; an attempt without effect backs off.
    let found = (&file.state, &service.unit, service.run, &seen.container, &seen.hook);
    let input = plan.input(&found);
    if plan.backs_off(Work::Removal, input) {
        return;
    }
    let torn_down = teardown(plan, file, ours.then_some(service), input);
    tidy(plan, removed, input, torn_down);
}

/// Returns whether the service came from a managed unit.
///
/// The loaded unit or the process decides by its revision: an unmanaged unit that was loaded from the same path
/// has none. A unit of a release without revisions has no revision, nor does its file.
fn is_ours(file: &UnitFile, service: &ServiceState) -> bool {
    let says_so = service.running.is_some() || service.unit.revision().is_some();
    match service.unit {
        LoadedUnit::FromStore { .. } | LoadedUnit::Unusable { .. } => {
            says_so || file.state == UnitFileState::Drifted { revision: None }
        }
        LoadedUnit::Absent | LoadedUnit::Held { .. } => says_so,
        LoadedUnit::Elsewhere { .. } => false,
    }
}

/// Returns whether a process is starting that may be managed: its unit was unloaded or replaced by one without
/// a revision.
fn is_unnamed_start(service: &ServiceState) -> bool {
    match service.run {
        RunState::Starting => !matches!(service.unit, LoadedUnit::Elsewhere { .. }),
        RunState::BetweenRestarts => service.unit == LoadedUnit::Absent,
        RunState::Down | RunState::Failed | RunState::Up | RunState::Stopping | RunState::Other => {
            false
        }
    }
}

fn stop(plan: &mut CompanionPlan<'_>, service: &ServiceState) {
    let input = stop_input(plan.generation, service.run_id.as_deref());
    if service.busy {
        plan.wait(WaitingOn::Busy);
    } else if service.run == RunState::Stopping {
        plan.wait(WaitingOn::Stopping);
    } else if !plan.backs_off(Work::Removal, input) {
        plan.step(Action::StopUnit(None), Reason::Removed, input);
    }
}

/// Returns the input digest of a stop: the stopped run.
pub fn stop_input(generation: Generation, run_id: Option<&str>) -> Fingerprint {
    input_of(generation, &("stop", run_id))
}

/// Plans the removal and unload of the unit file. Returns whether anything remained to do.
fn teardown(
    plan: &mut CompanionPlan<'_>,
    file: &UnitFile,
    service: Option<&ServiceState>,
    input: Fingerprint,
) -> bool {
    let on_disk = !matches!(file.state, UnitFileState::Absent);
    if on_disk {
        plan.step(Action::RemoveUnit, Reason::Removed, input);
    }
    let loaded = service.is_some_and(|service| service.unit != LoadedUnit::Absent);
    let mut loads = false;
    if on_disk || loaded {
        let load_input = plan.input(&"forget");
        let failure = plan.holding_failure(Work::Load, load_input);
        if let Some(failure) = failure.filter(|_| !on_disk) {
            let message = failure.problem.message.clone();
            plan.block_until(WaitingOn::NotLoaded { message }, Some(failure.retry_at));
            return true;
        }
        loads = plan.load(load_input, Reason::Removed);
    }
    let failed = service.is_some_and(|service| service.run == RunState::Failed)
        && plan.observed.traits.keeps_failures;
    if failed {
        plan.step_of(Work::Removal, Action::ResetFailed, Reason::Removed, input);
    }
    on_disk || loads || failed
}

/// Plans the removal of a container without a unit, and of the configuration.
fn tidy(
    plan: &mut CompanionPlan<'_>,
    removed: &RemovedCompanion,
    input: Fingerprint,
    torn_down: bool,
) {
    let mut container = false;
    if let Some(seen) = &plan.seen.container {
        let Some(state) = plan.read("container", Some(seen)) else { return };
        container = matches!(state, ContainerState::Ours { .. });
    }
    let mut state = None;
    if let Some(seen) = &plan.seen.hook {
        state = plan.read("configuration", Some(seen));
        if state.is_none() {
            return;
        }
    }
    let config = state.is_some_and(is_rendered);
    if !torn_down && !container && !config {
        plan.recovered(Work::Removal);
        plan.recovered(Work::Load);
    }
    if container {
        plan.step(Action::RemoveContainer, Reason::Removed, input);
    }
    let Some(hook) = &removed.hook else { return };
    if state.is_some_and(|state| state.link == Link::Unmanaged) {
        plan.block(unmanaged(hook));
    }
    if config {
        plan.step(Action::RemoveConfig(hook.clone()), Reason::Removed, input);
    }
}

fn is_rendered(state: &HookState) -> bool {
    matches!(state.link, Link::To(_) | Link::Other) || !state.files.is_empty()
}
