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
        let reason = match &state.present {
            Some(image) if image.provenance == Provenance::Foreign => Reason::ImageChanged,
            Some(_) => Reason::ContextChanged,
            None => Reason::ImageMissing,
        };
        let source = desired.spec().image.clone();
        let step = draft.step(Action::EnsureImage(source), reason, input);
        draft.draft.background.push(step);
    }
    // An outdated image is good enough to repair a companion that is down. One that runs waits for
    // the new image, so that it is restarted once and not twice.
    let runs = seen.service.known().is_none_or(|service| service.is_running());
    let building = draft.holding_failure(Work::Image, input).is_none();
    if runs && building { None } else { state.present.as_ref() }
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
