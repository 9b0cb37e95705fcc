//! The fourth stage: the running service.

use std::time::Duration;

use super::CompanionPlan;
use super::prune::stop_input;
use super::units::{Loading, difference};
use crate::model::observed::{ObservedCompanion, Work};
use crate::model::revision::{Fingerprint, Revision};
use crate::model::service::{RunState, ServiceState};
use crate::plan::{Action, Condition, Need, Reason, WaitingOn};

/// How long a service must stay up to count as running.
///
/// A start job is done when the process was started, even if it fails on its configuration immediately.
pub const MIN_READY: Duration = Duration::from_secs(3);

/// The minimum interval between restarts for a changed configuration or image: of many changes, the first is applied
/// immediately and the last after this interval.
pub const RESTART_INTERVAL: Duration = Duration::from_secs(10);

/// How often a service is restarted because its running revision is unknown. One attempt is not enough, because
/// another unit may have taken precedence during the start; without a limit, a host that never reports
/// revisions would restart forever.
const MAX_STARTS_WITHOUT_REVISION: u32 = 3;

/// How soon a transient state is observed again.
pub(super) const TRANSIENT_POLL: Duration = Duration::from_millis(500);

/// Plans the start or restart of the unit if needed. Returns whether the service runs as desired.
pub(super) fn rule(
    plan: &mut CompanionPlan<'_, '_>,
    loading: Loading,
    seen: &ObservedCompanion,
) -> bool {
    let Some(service) = seen.service.known() else {
        return false;
    };
    if service.busy {
        passing(plan, WaitingOn::Busy);
        return false;
    }
    match service.run {
        RunState::Up => return running(plan, loading, service),
        // A pending automatic restart would use the old revision, so a changed unit is restarted now; an
        // unchanged one is left to the service manager.
        RunState::BetweenRestarts => {
            if service.loaded() == Some(loading.revision) {
                let (restarts, end) = (service.restarts, service.last_end.clone());
                plan.block(WaitingOn::CrashLoop { restarts, end });
            } else {
                let reason = restart_reason(&loading.revision, service.loaded().as_ref());
                restart(plan, loading, Need::OtherRevision, reason);
            }
        }
        RunState::Down => start(plan, loading, Reason::NotRunning, false),
        RunState::Failed => {
            let end = service.last_end.as_ref().map(ToString::to_string);
            let end = end.unwrap_or_else(|| service.message.clone());
            start(plan, loading, Reason::Failed(end), true);
        }
        RunState::Starting => passing(plan, WaitingOn::Starting),
        RunState::Stopping => passing(plan, WaitingOn::Stopping),
        RunState::Other => {
            let error = format!("its state is `{}`", service.message);
            plan.unknown("service", &error);
        }
    }
    false
}

fn passing(plan: &mut CompanionPlan<'_, '_>, waiting_on: WaitingOn) {
    let retry_at = plan.builder.now.after(TRANSIENT_POLL);
    plan.block_until(waiting_on, retry_at);
}

fn running(plan: &mut CompanionPlan<'_, '_>, loading: Loading, service: &ServiceState) -> bool {
    let up_for = up_for(plan, service);
    if service.running.is_none() && is_given_up(plan, loading) {
        plan.unknown("running revision", "the process does not report a revision");
    } else if service.running != Some(loading.revision) {
        let reason = restart_reason(&loading.revision, service.running.as_ref());
        let input_changed = matches!(reason, Reason::ConfigChanged | Reason::ImageChanged);
        if input_changed && up_for < RESTART_INTERVAL {
            stabilizing(plan, RESTART_INTERVAL, up_for);
        } else {
            restart(plan, loading, Need::OtherRevision, reason);
        }
    } else if service.frozen {
        restart(plan, loading, Need::Frozen, Reason::Frozen);
    } else if up_for < MIN_READY {
        stabilizing(plan, MIN_READY, up_for);
    } else {
        plan.recovered(Work::Service);
        return true;
    }
    false
}

fn stabilizing(plan: &mut CompanionPlan<'_, '_>, required: Duration, up_for: Duration) {
    let retry_at = plan.builder.now.after(required.saturating_sub(up_for));
    plan.block_until(WaitingOn::Stabilizing, retry_at);
}

/// Returns how long the current run has been up: as the host reports it, or since it was first observed if that is
/// longer, because a host's clock may be set back.
fn up_for(plan: &CompanionPlan<'_, '_>, service: &ServiceState) -> Duration {
    let seen = plan.builder.history.up_since.get(plan.name);
    let seen = seen.filter(|seen| Some(&seen.run_id) == service.run_id.as_ref());
    let observed = seen.map(|seen| seen.at.until(plan.builder.now));
    service.up_for.max(observed.unwrap_or_default())
}

/// Returns the input digest of a start, independent of the restart epoch.
fn input(plan: &CompanionPlan<'_, '_>, loading: Loading) -> Fingerprint {
    plan.input(&loading.revision.with_restart_epoch(0))
}

/// Returns whether this revision was started often enough to conclude that it never reports its revision.
fn is_given_up(plan: &CompanionPlan<'_, '_>, loading: Loading) -> bool {
    let input = input(plan, loading);
    let failure = plan.failure(Work::Service).filter(|failure| failure.input == input);
    failure.is_some_and(|failure| failure.count >= MAX_STARTS_WITHOUT_REVISION)
}

/// Returns how the running revision differs from the desired one.
fn restart_reason(wanted: &Revision, found: Option<&Revision>) -> Reason {
    let Some(found) = found else { return Reason::RevisionUnknown };
    let rendered = found.restart_epoch == wanted.restart_epoch;
    let same = if rendered { Reason::RendererChanged } else { Reason::UnitRestored };
    difference(wanted, found).unwrap_or(same)
}

fn start(plan: &mut CompanionPlan<'_, '_>, loading: Loading, reason: Reason, failed: bool) {
    let input = input(plan, loading);
    if plan.backs_off(Work::Service, input) {
        return;
    }
    if failed && plan.builder.traits.keeps_failures {
        let mut reset = plan.step(Action::ResetFailed, reason.clone(), input);
        reset.after_load = loading.after_load;
        plan.builder.services.push(reset);
    }
    let condition = Condition { loaded: loading.revision, need: Need::NotRunning };
    let mut start = plan.step(Action::StartUnit(condition), reason, input);
    start.after_load = loading.after_load;
    plan.builder.services.push(start);
}

/// Plans the stop of a service that is about to restart, because its start would replace an unmanaged container.
pub(super) fn cancel_restart(plan: &mut CompanionPlan<'_, '_>, service: &ServiceState) {
    let (RunState::BetweenRestarts, Some(loaded)) = (service.run, service.loaded()) else {
        return;
    };
    let running = [Work::Service, Work::Removal].into_iter().find(|work| plan.is_running(*work));
    if let Some(work) = running {
        return plan.block(WaitingOn::Running { work });
    }
    if service.busy {
        return passing(plan, WaitingOn::Busy);
    }
    let input = stop_input(plan.generation, service.run_id.as_deref());
    if !plan.backs_off(Work::Removal, input) {
        let condition = Condition { loaded, need: Need::BetweenRestarts };
        let step = plan.step(Action::CancelRestart(condition), Reason::NameTaken, input);
        plan.builder.services.push(step);
    }
}

fn restart(plan: &mut CompanionPlan<'_, '_>, loading: Loading, need: Need, reason: Reason) {
    let input = input(plan, loading);
    if plan.backs_off(Work::Service, input) {
        return;
    }
    let condition = Condition { loaded: loading.revision, need };
    let mut step = plan.step(Action::RestartUnit(condition), reason, input);
    step.after_load = loading.after_load;
    plan.builder.services.push(step);
}
