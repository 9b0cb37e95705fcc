//! The rules for a companion that is pending deletion: the stages are removed in reverse order.
//!
//! The service is stopped while its unit still exists, because the unit defines how: removing the unit first
//! would leave a running container. Nothing is removed while its state is unknown.

use super::hooks::unmanaged;
use super::services::TRANSIENT_POLL;
use super::{CompanionPlan, input_of};
use crate::model::desired::{Generation, RemovedCompanion};
use crate::model::hook::{HookState, Link};
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::model::revision::Fingerprint;
use crate::model::service::{LoadedUnit, RunState, ServiceState};
use crate::model::unit::{ContainerState, UnitFile, UnitFileState};
use crate::plan::{Action, Reason, WaitingOn};

pub(super) fn rule(
    plan: &mut CompanionPlan<'_, '_>,
    removed: &RemovedCompanion,
    seen: &ObservedCompanion,
) {
    let (file, service) = match (&seen.unit, &seen.service) {
        (Observation::Known(file), Observation::Known(service)) => (file, service),
        (Observation::Unknown(error), _) => return plan.unknown("unit file", error),
        (_, Observation::Unknown(error)) => return plan.unknown("service", error),
    };
    if let Some(work) = plan.any_running() {
        return plan.block(WaitingOn::Running { work });
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
        let retry_at = plan.builder.now.after(TRANSIENT_POLL);
        return plan.block_until(WaitingOn::Starting, retry_at);
    }
    // The observed state is part of the input: while each attempt removes something, the next follows
    // immediately; an attempt without effect backs off.
    let found = (&file.state, &service.unit, service.run, &seen.container, &seen.hook);
    let input = plan.input(&found);
    if plan.backs_off(Work::Removal, input) {
        return;
    }
    let taken_down = take_down(plan, file, ours.then_some(service), input);
    tidy(plan, removed, seen, input, taken_down);
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

fn stop(plan: &mut CompanionPlan<'_, '_>, service: &ServiceState) {
    let input = stop_input(plan.generation, service.run_id.as_deref());
    let retry_at = plan.builder.now.after(TRANSIENT_POLL);
    if service.busy {
        plan.block_until(WaitingOn::Busy, retry_at);
    } else if service.run == RunState::Stopping {
        plan.block_until(WaitingOn::Stopping, retry_at);
    } else if !plan.backs_off(Work::Removal, input) {
        let step = plan.step(Action::StopUnit, Reason::Removed, input);
        plan.builder.services.push(step);
    }
}

/// Returns the input digest of a stop: the stopped run.
pub fn stop_input(generation: Generation, run_id: Option<&str>) -> Fingerprint {
    input_of(generation, &("stop", run_id))
}

/// Plans the removal and unload of the unit file. Returns whether anything remained to do.
fn take_down(
    plan: &mut CompanionPlan<'_, '_>,
    file: &UnitFile,
    service: Option<&ServiceState>,
    input: Fingerprint,
) -> bool {
    let on_disk = !matches!(file.state, UnitFileState::Absent);
    if on_disk {
        let step = plan.step(Action::RemoveUnit, Reason::Removed, input);
        plan.builder.files.push(step);
    }
    let loaded = service.is_some_and(|service| service.unit != LoadedUnit::Absent);
    let mut after_load = false;
    if on_disk || loaded {
        let load_input = plan.input(&"forget");
        let failure = plan.holding_failure(Work::Load, load_input);
        if let Some(failure) = failure.filter(|_| !on_disk) {
            let message = failure.problem.message;
            plan.block_until(WaitingOn::NotLoaded { message }, failure.retry_at);
            return true;
        }
        after_load = plan.load(load_input, Reason::Removed);
    }
    let failed = service.is_some_and(|service| service.run == RunState::Failed)
        && plan.builder.traits.keeps_failures;
    if failed {
        let mut step = plan.step(Action::ResetFailed, Reason::Removed, input);
        step.work = Work::Removal;
        step.after_load = after_load;
        plan.builder.services.push(step);
    }
    on_disk || after_load || failed
}

/// Plans the removal of a container without a unit, and of the configuration.
fn tidy(
    plan: &mut CompanionPlan<'_, '_>,
    removed: &RemovedCompanion,
    seen: &ObservedCompanion,
    input: Fingerprint,
    taken_down: bool,
) {
    let container = match &seen.container {
        Some(Observation::Known(ContainerState::Ours { .. })) => true,
        Some(Observation::Known(ContainerState::Absent | ContainerState::Unmanaged { .. }))
        | None => false,
        Some(Observation::Unknown(error)) => return plan.unknown("container", error),
    };
    let config = match &seen.hook {
        Some(Observation::Known(state)) => is_rendered(state),
        Some(Observation::Unknown(error)) => return plan.unknown("configuration", error),
        None => false,
    };
    if !taken_down && !container && !config {
        plan.recovered(Work::Removal);
        plan.recovered(Work::Load);
    }
    if container {
        let step = plan.step(Action::RemoveContainer, Reason::Removed, input);
        plan.builder.cleanup.push(step);
    }
    let state = seen.hook.as_ref().and_then(Observation::known);
    if let (Some(hook), Some(state)) = (&removed.hook, state)
        && state.link == Link::Unmanaged
    {
        plan.block(unmanaged(hook));
    }
    if let Some(hook) = removed.hook.as_ref().filter(|_| config) {
        let step = plan.step(Action::RemoveConfig(hook.clone()), Reason::Removed, input);
        plan.builder.cleanup.push(step);
    }
}

fn is_rendered(state: &HookState) -> bool {
    matches!(state.link, Link::To(_) | Link::Other) || !state.files.is_empty()
}
