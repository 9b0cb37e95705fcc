//! The rule of the fourth stage: the running service.

use std::time::Duration;

use super::CompanionPlan;
use super::units::{Loading, difference};
use crate::model::observed::{ObservedCompanion, Work};
use crate::model::revision::{Fingerprint, Revision};
use crate::model::unit::{ActiveState, ServiceState};
use crate::plan::{Action, Condition, Need, Reason, WaitingOn};

/// How long a service must have stayed up to count as running.
///
/// A start is reported as done when the process has begun, not when it works: a process that dies
/// on its first line of configuration is "started" all the same.
pub const MIN_READY: Duration = Duration::from_secs(3);

/// The shortest time between two restarts for a changed configuration: of many rotations in a row, the
/// first is taken up at once and the last when this is over.
pub const CONFIG_INTERVAL: Duration = Duration::from_secs(10);

/// How often what does not say its revision is restarted for that. Once is not enough, for another unit
/// can have come first for the moment of the start; and there may be hosts on which nothing ever says.
const MAX_STARTS_WITHOUT_REVISION: u32 = 3;

/// How soon a state that passes by itself is looked at again.
pub(super) const TRANSIENT_POLL: Duration = Duration::from_millis(500);

/// Has the unit started, or restarted, as it is needed. Returns whether the service runs as desired.
pub(super) fn rule(
    plan: &mut CompanionPlan<'_, '_>,
    loading: Loading,
    seen: &ObservedCompanion,
) -> bool {
    let Some(service) = seen.service.known() else {
        return false;
    };
    if service.job_pending {
        passing(plan, WaitingOn::Job);
        return false;
    }
    if service.is_running() {
        return running(plan, loading, service);
    }
    match &service.active {
        ActiveState::Active | ActiveState::Reloading | ActiveState::Refreshing => {}
        // What waits to be started again would come back as what it was, so a unit that changed is
        // restarted now; one that did not is left to the service manager.
        _ if service.sub.awaits_restart() => {
            if service.loaded == Some(loading.revision) {
                let words =
                    WaitingOn::crash_loop(service.restarts, &service.result, service.exit_status);
                plan.block(words);
            } else {
                let reason = restart_reason(&loading.revision, service.loaded.as_ref());
                restart(plan, loading, Need::OtherRevision, reason);
            }
        }
        ActiveState::Inactive => start(plan, loading, Reason::NotRunning, false),
        ActiveState::Failed => {
            start(plan, loading, Reason::Failed(service.result.to_string()), true);
        }
        ActiveState::Activating => passing(plan, WaitingOn::Starting),
        ActiveState::Deactivating => passing(plan, WaitingOn::Stopping),
        ActiveState::Maintenance | ActiveState::Other(_) => {
            let error = format!("its state is `{}`", service.active);
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
    if service.running.is_none() && is_given_up(plan, loading) {
        plan.unknown("running revision", "the process does not name one");
    } else if service.running != Some(loading.revision) {
        let reason = restart_reason(&loading.revision, service.running.as_ref());
        if reason == Reason::ConfigChanged && service.active_for < CONFIG_INTERVAL {
            let left = CONFIG_INTERVAL.saturating_sub(service.active_for);
            let retry_at = plan.builder.now.after(left);
            plan.block_until(WaitingOn::Stabilizing, retry_at);
            return false;
        }
        restart(plan, loading, Need::OtherRevision, reason);
    } else if service.paused {
        restart(plan, loading, Need::Paused, Reason::Paused);
    } else if service.active_for < MIN_READY {
        let retry_at = plan.builder.now.after(MIN_READY.saturating_sub(service.active_for));
        plan.block_until(WaitingOn::Stabilizing, retry_at);
    } else {
        plan.recovered(Work::Service);
        return true;
    }
    false
}

/// The input of a start: what is started, whichever restart epoch of it.
fn input(plan: &CompanionPlan<'_, '_>, loading: Loading) -> Fingerprint {
    plan.input(&loading.revision.with_restart_epoch(0))
}

/// Whether this very revision was started often enough, however long ago, to see that what runs will
/// not say which it is.
fn is_given_up(plan: &CompanionPlan<'_, '_>, loading: Loading) -> bool {
    let input = input(plan, loading);
    let failure = plan.failure(Work::Service).filter(|failure| failure.input == input);
    failure.is_some_and(|failure| failure.count >= MAX_STARTS_WITHOUT_REVISION)
}

/// In what the running revision differs from the one wanted.
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
    if failed {
        let mut reset = plan.step(Action::ResetFailed, reason.clone(), input);
        reset.after_reload = loading.after_reload;
        plan.builder.services.push(reset);
    }
    let condition = Condition { loaded: loading.revision, need: Need::NotRunning };
    let mut start = plan.step(Action::StartUnit(condition), reason, input);
    start.after_reload = loading.after_reload;
    plan.builder.services.push(start);
}

fn restart(plan: &mut CompanionPlan<'_, '_>, loading: Loading, need: Need, reason: Reason) {
    let input = input(plan, loading);
    if plan.backs_off(Work::Service, input) {
        return;
    }
    let condition = Condition { loaded: loading.revision, need };
    let mut step = plan.step(Action::RestartUnit(condition), reason, input);
    step.after_reload = loading.after_reload;
    plan.builder.services.push(step);
}
