//! The rule that comes before a rendering: what tells a doubtful run from a true one is not destroyed.
//!
//! A process that began while something else lay in place of the rendered file claims the revision of
//! its unit all the same, and once the file is restored nothing tells it from one that began with the
//! true file. So the unit gets its next incarnation first: however often the restoring process crashes
//! in between, what runs is then seen to differ. A run that was seen beneath a true file is not
//! doubted, and neither is one that is restarted anyway.

use super::CompanionDraft;
use super::services::PASSING;
use super::units::{after_drift, blocked_by_others, refused, verified};
use crate::model::desired::DesiredCompanion;
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::model::revision::Revision;
use crate::model::unit::{ActiveState, ServiceState, UnitFileState};
use crate::plan::{Action, Reason, WaitingOn};

/// Whether the rendered file has to stay as it was found for now; then says in the plan what is done
/// or waited for first.
pub(super) fn rule(
    draft: &mut CompanionDraft<'_, '_>,
    desired: &DesiredCompanion,
    seen: &ObservedCompanion,
    reason: &Reason,
) -> bool {
    let (file, service) = match (&seen.unit, &seen.service) {
        (Observation::Known(file), Observation::Known(service)) => (file, service),
        (Observation::Unknown(error), _) => {
            draft.unknown("its unit file", error);
            return true;
        }
        (_, Observation::Unknown(_)) => return true,
    };
    // Where no unit of ours lies, the next one is written with an incarnation that nothing claims.
    let (UnitFileState::Current { revision: claimed }
    | UnitFileState::Exposed { revision: claimed }
    | UnitFileState::Drifted { revision: Some(claimed) }) = file.state
    else {
        return false;
    };
    if !is_doubtful(service, claimed) || verified(draft, claimed, service).is_some() {
        return false;
    }
    let image = seen.image.as_ref().and_then(Observation::known);
    let Some(image) = image.and_then(|image| image.present.as_ref()) else {
        // It is made, or what keeps it from being made is told, by the rule of images.
        return true;
    };
    let wanted = desired.revision(image, claimed.config);
    if !claimed.same_contents(&wanted) {
        return false;
    }
    if blocked_by_others(draft, file, service, seen) {
        return true;
    }
    if !service.is_running() {
        let retry_at = draft.draft.now.after(PASSING);
        draft.block_until(WaitingOn::Starting, retry_at);
        return true;
    }
    let input = draft.input(&("doubted", &wanted));
    if !refused(draft, input) && !draft.backs_off(Work::Unit, input) {
        let revision = after_drift(wanted, Some(claimed), service);
        let unit = Box::new(desired.unit(image, revision));
        let step = draft.step(Action::WriteUnit(unit), reason.clone(), input);
        draft.draft.files.push(step);
        draft.draft.reload.insert(draft.name.clone(), (input, reason.clone()));
    }
    true
}

/// Whether what runs, or is just being started, claims the revision that the file claims.
fn is_doubtful(service: &ServiceState, claimed: Revision) -> bool {
    if service.is_running() {
        return service.running == Some(claimed);
    }
    let starting = service.active == ActiveState::Activating && !service.sub.awaits_restart();
    (starting || service.job_pending) && service.loaded == Some(claimed)
}
