//! The fourth stage: the running service.

use std::time::Duration;

use super::CompanionPlan;
use super::prune::stop_input;
use super::units::difference;
use crate::model::observed::Work;
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

/// Plans the start or restart of `wanted`, the revision of the unit that is loaded by then, if needed. Returns whether
/// the service runs as desired.
pub(super) fn rule(plan: &mut CompanionPlan<'_>, wanted: Revision, service: &ServiceState) -> bool {
    if service.busy {
        plan.wait(WaitingOn::Busy);
        return false;
    }
    match service.run {
        RunState::Up => return running(plan, wanted, service),
        // A pending automatic restart would use the old revision, so a changed unit is restarted now; an
        // unchanged one is left to the service manager.
        RunState::BetweenRestarts if service.loaded() == Some(wanted) => {
            let (restarts, end) = (service.restarts, service.last_end.clone());
            plan.block(WaitingOn::CrashLoop { restarts, end });
        }
        RunState::BetweenRestarts => {
            let reason = restart_reason(&wanted, service.loaded().as_ref());
            start(plan, wanted, Need::OtherRevision, reason);
        }
        RunState::Down => start(plan, wanted, Need::NotRunning, Reason::NotRunning),
        RunState::Failed => {
            let end = service.last_end.as_ref().map(ToString::to_string);
            let end = end.unwrap_or_else(|| service.message.clone());
            start(plan, wanted, Need::NotRunning, Reason::Failed(end));
        }
        RunState::Starting => plan.wait(WaitingOn::Starting),
        RunState::Stopping => plan.wait(WaitingOn::Stopping),
        RunState::Other => {
            let error = format!("its state is `{}`", service.message);
            plan.block(WaitingOn::Observation { what: "service", error });
        }
    }
    false
}

fn running(plan: &mut CompanionPlan<'_>, wanted: Revision, service: &ServiceState) -> bool {
    let up_for = up_for(plan, service);
    if service.running.is_none() && is_given_up(plan, wanted) {
        let error = "the process does not report a revision".to_owned();
        plan.block(WaitingOn::Observation { what: "running revision", error });
    } else if service.running != Some(wanted) {
        let reason = restart_reason(&wanted, service.running.as_ref());
        let input_changed = matches!(reason, Reason::ConfigChanged | Reason::ImageChanged);
        if input_changed && up_for < RESTART_INTERVAL {
            stabilizing(plan, RESTART_INTERVAL, up_for);
        } else {
            start(plan, wanted, Need::OtherRevision, reason);
        }
    } else if service.frozen {
        start(plan, wanted, Need::Frozen, Reason::Frozen);
    } else if up_for < MIN_READY {
        stabilizing(plan, MIN_READY, up_for);
    } else {
        plan.recovered(Work::Service);
        return true;
    }
    false
}

fn stabilizing(plan: &mut CompanionPlan<'_>, required: Duration, up_for: Duration) {
    let retry_at = plan.now.after(required.saturating_sub(up_for));
    plan.block_until(WaitingOn::Stabilizing, Some(retry_at));
}

/// Returns how long the current run has been up: as the host reports it, or since it was first observed if that is
/// longer, because a host's clock may be set back.
fn up_for(plan: &CompanionPlan<'_>, service: &ServiceState) -> Duration {
    let seen = plan.observed.history.runs.get(plan.name);
    let seen = seen.filter(|seen| Some(&seen.run_id) == service.run_id.as_ref());
    let observed = seen.and_then(|seen| seen.up_since).map(|since| since.until(plan.now));
    service.up_for.max(observed.unwrap_or_default())
}

/// Returns the input digest of a start, independent of the restart epoch.
fn input(plan: &CompanionPlan<'_>, wanted: Revision) -> Fingerprint {
    plan.input(&wanted.with_restart_epoch(0))
}

/// Returns whether this revision was started often enough to conclude that it never reports its revision.
fn is_given_up(plan: &CompanionPlan<'_>, wanted: Revision) -> bool {
    let input = input(plan, wanted);
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

/// Plans a start, or a restart where something runs or is about to.
fn start(plan: &mut CompanionPlan<'_>, wanted: Revision, need: Need, reason: Reason) {
    let input = input(plan, wanted);
    if plan.backs_off(Work::Service, input) {
        return;
    }
    if matches!(reason, Reason::Failed(_)) && plan.observed.traits.keeps_failures {
        plan.step(Action::ResetFailed, reason.clone(), input);
    }
    let condition = Condition { loaded: wanted, need };
    let action = match need {
        Need::NotRunning => Action::StartUnit(condition),
        Need::OtherRevision | Need::Frozen | Need::BetweenRestarts => {
            Action::RestartUnit(condition)
        }
    };
    plan.step(action, reason, input);
}

/// Plans the stop of a service that is about to restart, because its start would replace an unmanaged container.
pub(super) fn cancel_restart(plan: &mut CompanionPlan<'_>, service: &ServiceState) {
    let (RunState::BetweenRestarts, Some(loaded)) = (service.run, service.loaded()) else {
        return;
    };
    let running = [Work::Service, Work::Removal].into_iter().find(|work| plan.is_running(*work));
    if let Some(work) = running {
        return plan.block(WaitingOn::Running { work });
    }
    if service.busy {
        return plan.wait(WaitingOn::Busy);
    }
    let input = stop_input(plan.generation, service.run_id.as_deref());
    if !plan.backs_off(Work::Removal, input) {
        let condition = Condition { loaded, need: Need::BetweenRestarts };
        plan.step(Action::StopUnit(Some(condition)), Reason::NameTaken, input);
    }
}
