//! The rule of the fourth stage: the running service.

use std::time::Duration;

use super::CompanionDraft;
use super::units::{Loading, difference};
use crate::model::observed::{ObservedCompanion, Work};
use crate::model::revision::{Fingerprint, Revision};
use crate::model::unit::{ActiveState, ServiceState};
use crate::plan::{Action, Condition, Need, Reason, WaitingOn};

/// How long a service must have stayed up to count as running.
///
/// A start is reported as done when the process has begun, not when it works: a process that dies
/// on its first line of configuration is "started" all the same.
pub const SETTLING: Duration = Duration::from_secs(3);

/// The shortest time between two restarts for a changed configuration: of many rotations in a row, the
/// first is taken up at once and the last when this is over.
pub const CONFIG_INTERVAL: Duration = Duration::from_secs(10);

/// How often what does not say its revision is restarted for that. Once is not enough, for another unit
/// can have come first for the moment of the start; and there may be hosts on which nothing ever says.
const SILENT_STARTS: u32 = 3;

/// How soon a state that passes by itself is looked at again.
pub(super) const PASSING: Duration = Duration::from_millis(500);

/// Has the unit started, or restarted, as it is needed. Returns whether the service runs as desired.
pub(super) fn rule(
    draft: &mut CompanionDraft<'_, '_>,
    loading: Loading,
    seen: &ObservedCompanion,
) -> bool {
    let Some(service) = seen.service.known() else {
        return false;
    };
    if service.job_pending {
        passing(draft, WaitingOn::Job);
        return false;
    }
    if service.is_running() {
        return running(draft, loading, service);
    }
    match &service.active {
        ActiveState::Active | ActiveState::Reloading | ActiveState::Refreshing => {}
        // What waits to be started again would come back as what it was, so a unit that changed is
        // restarted now; one that did not is left to the service manager.
        _ if service.sub.awaits_restart() => {
            if service.loaded == Some(loading.revision) {
                let words =
                    WaitingOn::crash_loop(service.restarts, &service.result, service.exit_status);
                draft.block(words);
            } else {
                let reason = restart_reason(&loading.revision, service.loaded.as_ref());
                restart(draft, loading, Need::OtherRevision, reason);
            }
        }
        ActiveState::Inactive => start(draft, loading, Reason::NotRunning, false),
        ActiveState::Failed => {
            start(draft, loading, Reason::Failed(service.result.to_string()), true);
        }
        ActiveState::Activating => passing(draft, WaitingOn::Starting),
        ActiveState::Deactivating => passing(draft, WaitingOn::Stopping),
        ActiveState::Maintenance | ActiveState::Other(_) => {
            let error = format!("its state is `{}`", service.active);
            draft.unknown("its service", &error);
        }
    }
    false
}

fn passing(draft: &mut CompanionDraft<'_, '_>, waiting_on: WaitingOn) {
    let retry_at = draft.draft.now.after(PASSING);
    draft.block_until(waiting_on, retry_at);
}

fn running(draft: &mut CompanionDraft<'_, '_>, loading: Loading, service: &ServiceState) -> bool {
    if service.running.is_none() && is_given_up(draft, loading) {
        draft.unknown("the revision that runs", "its process does not say which it is");
    } else if service.running != Some(loading.revision) {
        let reason = restart_reason(&loading.revision, service.running.as_ref());
        if reason == Reason::ConfigChanged && service.active_for < CONFIG_INTERVAL {
            let left = CONFIG_INTERVAL.saturating_sub(service.active_for);
            let retry_at = draft.draft.now.after(left);
            draft.block_until(WaitingOn::Settling, retry_at);
            return false;
        }
        restart(draft, loading, Need::OtherRevision, reason);
    } else if service.paused {
        restart(draft, loading, Need::Paused, Reason::Paused);
    } else if service.active_for < SETTLING {
        let retry_at = draft.draft.now.after(SETTLING.saturating_sub(service.active_for));
        draft.block_until(WaitingOn::Settling, retry_at);
    } else {
        draft.healed(Work::Service);
        return true;
    }
    false
}

/// The input of a start: what is started, whichever incarnation of it.
fn input(draft: &CompanionDraft<'_, '_>, loading: Loading) -> Fingerprint {
    draft.input(&loading.revision.with_incarnation(0))
}

/// Whether this very revision was started often enough, however long ago, to see that what runs will
/// not say which it is.
fn is_given_up(draft: &CompanionDraft<'_, '_>, loading: Loading) -> bool {
    let input = input(draft, loading);
    let failure = draft.failure(Work::Service).filter(|failure| failure.input == input);
    failure.is_some_and(|failure| failure.count >= SILENT_STARTS)
}

/// In what the running revision differs from the one wanted.
fn restart_reason(wanted: &Revision, found: Option<&Revision>) -> Reason {
    let Some(found) = found else { return Reason::RevisionUnknown };
    let rendered = found.incarnation == wanted.incarnation;
    let same = if rendered { Reason::RendererChanged } else { Reason::UnitRestored };
    difference(wanted, found).unwrap_or(same)
}

fn start(draft: &mut CompanionDraft<'_, '_>, loading: Loading, reason: Reason, failed: bool) {
    let input = input(draft, loading);
    if draft.backs_off(Work::Service, input) {
        return;
    }
    if failed {
        let mut reset = draft.step(Action::ResetFailed, reason.clone(), input);
        reset.after_reload = loading.after_reload;
        draft.draft.services.push(reset);
    }
    let condition = Condition { loaded: loading.revision, need: Need::NotRunning };
    let mut start = draft.step(Action::StartUnit(condition), reason, input);
    start.after_reload = loading.after_reload;
    draft.draft.services.push(start);
}

fn restart(draft: &mut CompanionDraft<'_, '_>, loading: Loading, need: Need, reason: Reason) {
    let input = input(draft, loading);
    if draft.backs_off(Work::Service, input) {
        return;
    }
    let condition = Condition { loaded: loading.revision, need };
    let mut step = draft.step(Action::RestartUnit(condition), reason, input);
    step.after_reload = loading.after_reload;
    draft.draft.services.push(step);
}
