//! The rule that comes before a rendering or a build: what tells a doubtful run from a true one is not
//! destroyed.
//!
//! A process that began while something else lay in place of the rendered file, or went by the image's
//! name, claims the revision of its unit all the same, and once file and image are restored nothing
//! tells it from one that began with the true ones. So the unit gets its next incarnation first: however
//! often the restoring process crashes in between, what runs is then seen to differ. What began while
//! that was under way is doubted, too, when it has ended. A run that was seen beneath a true file is not
//! doubted, and neither is one that is restarted anyway.

use super::CompanionDraft;
use super::services::PASSING;
use super::units::{after_drift, blocked_by_others, refused, verified};
use crate::model::desired::DesiredCompanion;
use crate::model::hook::{HookState, StaleCause};
use crate::model::image::{ImageRef, ImageState};
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::model::revision::Revision;
use crate::model::unit::{ActiveState, ServiceState, UnitFile, UnitFileState};
use crate::plan::{Action, Reason, WaitingOn};

/// Whether configuration and image have to stay as they were found for now; then says in the plan what
/// is done or waited for first.
pub(super) fn rule(
    draft: &mut CompanionDraft<'_, '_>,
    desired: &DesiredCompanion,
    seen: &ObservedCompanion,
) -> bool {
    let (Some(file), Some(service)) = (seen.unit.known(), seen.service.known()) else {
        return unread_file(draft, seen);
    };
    let Some(claimed) = doubtful(file, service) else {
        return false;
    };
    if verified(draft, claimed, service).is_some() {
        return false;
    }
    // What its image is, or why that is not known, is said by the rule of images.
    let image = seen.image.as_ref().and_then(Observation::known);
    let marked = image.and_then(|image| restored(desired, seen, image, claimed));
    let overtaken = draft.draft.history.overtaken.get(draft.name);
    let overtaken = overtaken.is_some_and(|run| is_overtaken(run.as_deref(), seen));
    let (reason, image) = match marked {
        // Nobody else could write it, so what runs began with the same bytes. Only what begins is
        // waited for, lest its rendering is thrown away.
        Some((Some(Reason::ConfigExposed), _)) if service.is_running() && !overtaken => {
            return false;
        }
        Some((Some(reason), image)) => (reason, image),
        Some((None, image)) if overtaken => (Reason::ConfigChanged, image),
        Some((None, _)) | None => return false,
    };
    if blocked_by_others(draft, file, service, seen) {
        return true;
    }
    if service.is_running() {
        mark(draft, desired, service, claimed, &image, reason);
    } else {
        let retry_at = draft.draft.now.after(PASSING);
        draft.block_until(WaitingOn::Starting, retry_at);
    }
    true
}

/// Whether something is to be restored of which it cannot be told what runs with it, since the unit file
/// could not be read; then says so.
fn unread_file(draft: &mut CompanionDraft<'_, '_>, seen: &ObservedCompanion) -> bool {
    let Observation::Unknown(error) = &seen.unit else {
        return false;
    };
    let image = seen.image.as_ref().and_then(Observation::known);
    let renders = match seen.hook {
        Some(Observation::Known(HookState::Stale { cause, .. })) => cause != StaleCause::Exposed,
        Some(Observation::Known(HookState::Current { .. } | HookState::NotReady { .. }))
        | Some(Observation::Unknown(_))
        | None => false,
    };
    let restores = renders || image.is_some_and(|image| !image.is_current());
    if restores {
        draft.unknown("its unit file", error);
    }
    restores
}

/// Whether what runs, or is just being started, is not `run`, and claims the revision that the file
/// claims.
pub(crate) fn is_overtaken(run: Option<&str>, seen: &ObservedCompanion) -> bool {
    let (Some(file), Some(service)) = (seen.unit.known(), seen.service.known()) else {
        return true;
    };
    let same = service.is_running() && service.invocation.as_deref() == run;
    !same && doubtful(file, service).is_some()
}

/// The revision that the file claims, if what runs, or is just being started, claims it too.
///
/// Where no unit of ours lies, the next one is written with an incarnation that nothing claims.
fn doubtful(file: &UnitFile, service: &ServiceState) -> Option<Revision> {
    let (UnitFileState::Current { revision: claimed }
    | UnitFileState::Exposed { revision: claimed }
    | UnitFileState::Outdated { revision: claimed }
    | UnitFileState::Drifted { revision: Some(claimed) }) = file.state
    else {
        return None;
    };
    let starting = service.active == ActiveState::Activating && !service.sub.awaits_restart();
    let claims = if service.is_running() {
        service.running
    } else {
        service.loaded.filter(|_| starting || service.job_pending)
    };
    (claims == Some(claimed)).then_some(claimed)
}

/// What is about to be restored and may make `claimed` true again, if anything is, and the name of the
/// image to mark the unit with meanwhile; `None` when what runs is restarted anyway.
fn restored(
    desired: &DesiredCompanion,
    seen: &ObservedCompanion,
    image: &ImageState,
    claimed: Revision,
) -> Option<(Option<Reason>, ImageRef)> {
    let config = match &seen.hook {
        Some(Observation::Known(HookState::Stale { cause, .. })) => Some((*cause).into()),
        Some(Observation::Known(
            HookState::Current { config } | HookState::NotReady { config: Some(config), .. },
        )) if claimed.config != Some(*config) => return None,
        None if claimed.config.is_some() => return None,
        Some(_) | None => None,
    };
    let present = image.present.as_ref();
    let by_image = match present {
        Some(present) if present.fingerprint() == claimed.image => None,
        Some(_) if image.is_current() => return None,
        Some(_) => Some(Reason::ImageChanged),
        None => Some(Reason::ImageMissing),
    };
    if claimed.spec != desired.fingerprint() {
        return None;
    }
    let source = &desired.spec().image;
    let built = source.build.as_ref().map(|build| &build.reference);
    let named = built.or(source.pull.as_ref().map(|pull| &pull.reference));
    let image = present.map(|present| &present.reference).or(named)?;
    let exposed = config.clone().filter(|reason| *reason == Reason::ConfigExposed);
    let replaced = config.filter(|reason| *reason != Reason::ConfigExposed);
    Some((replaced.or(by_image).or(exposed), image.clone()))
}

/// Has the unit written with its next incarnation.
fn mark(
    draft: &mut CompanionDraft<'_, '_>,
    desired: &DesiredCompanion,
    service: &ServiceState,
    claimed: Revision,
    image: &ImageRef,
    reason: Reason,
) {
    let contents = claimed.with_incarnation(0);
    let input = draft.input(&("doubted", contents));
    if refused(draft, input) || draft.backs_off(Work::Unit, input) {
        return;
    }
    let revision = after_drift(contents, Some(claimed), service);
    let unit = Box::new(desired.unit(image, revision));
    let step = draft.step(Action::WriteUnit(unit), reason.clone(), input);
    draft.draft.files.push(step);
    draft.draft.reload.insert(draft.name.clone(), (input, reason));
}
