//! The rule of the second layer: the image.

use super::CompanionDraft;
use crate::model::desired::DesiredCompanion;
use crate::model::image::{ImageState, PresentImage, Provenance};
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::plan::{Action, Reason, WaitingOn};

/// The image that the layers above may go on with, if they may.
pub(super) fn rule<'s>(
    draft: &mut CompanionDraft<'_, '_>,
    desired: &DesiredCompanion,
    seen: &'s ObservedCompanion,
) -> Option<&'s PresentImage> {
    let state = match &seen.image {
        Some(Observation::Known(state)) => state,
        Some(Observation::Unknown(error)) => {
            draft.unknown("its image", error);
            return None;
        }
        None => {
            draft.unknown("its image", "nothing was observed of it");
            return None;
        }
    };
    if state.is_current() {
        draft.healed(Work::Image);
        prune_leftovers(draft, state);
        return state.present.as_ref();
    }
    let input = draft.input(&(&desired.spec().image, state.context));
    if draft.is_running(Work::Image) {
        draft.block(WaitingOn::Running { work: Work::Image });
    } else if !draft.backs_off(Work::Image, input) {
        let source = desired.spec().image.clone();
        let (action, reason) = match &state.present {
            Some(_) if is_usurped(desired, state) => {
                (Action::ReplaceImage(source), Reason::ImageChanged)
            }
            Some(_) => (Action::EnsureImage(source), Reason::ContextChanged),
            None => (Action::EnsureImage(source), Reason::ImageMissing),
        };
        let step = draft.step(action, reason, input);
        draft.draft.background.push(step);
    }
    // An outdated image is good enough to repair a companion that is down. One that runs waits for
    // the new image, so that it is restarted once and not twice, and is never restarted for what
    // somebody else put in the place of ours.
    let runs = seen.service.known().is_none_or(|service| service.is_running());
    let getting =
        draft.is_running(Work::Image) || draft.holding_failure(Work::Image, input).is_none();
    if runs && (getting || is_usurped(desired, state)) { None } else { state.present.as_ref() }
}

/// Whether somebody else's image goes by the name that only builds of ours get.
fn is_usurped(desired: &DesiredCompanion, state: &ImageState) -> bool {
    let built = desired.spec().image.build.as_ref().map(|build| &build.reference);
    let present = state.present.as_ref();
    present.is_some_and(|image| {
        image.provenance == Provenance::Foreign && Some(&image.reference) == built
    })
}

fn prune_leftovers(draft: &mut CompanionDraft<'_, '_>, state: &ImageState) {
    if state.leftovers.is_empty() {
        draft.healed(Work::Prune);
        return;
    }
    let input = draft.input(&state.leftovers);
    // Leftovers cost space, nothing else: a failure to remove them blocks nobody.
    if !draft.is_running(Work::Prune) && draft.holding_failure(Work::Prune, input).is_none() {
        let action = Action::PruneImages(state.leftovers.clone());
        let step = draft.step(action, Reason::Superseded, input);
        draft.draft.cleanup.push(step);
    }
}
