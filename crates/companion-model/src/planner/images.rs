//! The second stage: the image.

use super::CompanionPlan;
use crate::model::desired::DesiredCompanion;
use crate::model::image::{ImageState, PresentImage, Provenance};
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::plan::{Action, Reason, WaitingOn};

/// Returns the image for the later stages, or `None` if they must wait.
pub(super) fn rule<'s>(
    plan: &mut CompanionPlan<'_, '_>,
    desired: &DesiredCompanion,
    seen: &'s ObservedCompanion,
) -> Option<&'s PresentImage> {
    let state = match &seen.image {
        Some(Observation::Known(state)) => state,
        Some(Observation::Unknown(error)) => {
            plan.unknown("image", error);
            return None;
        }
        None => {
            plan.unknown("image", "not observed");
            return None;
        }
    };
    if state.is_current() {
        plan.recovered(Work::Image);
        return state.present.as_ref();
    }
    let input = plan.input(&(&desired.spec().image, state.context));
    if plan.is_running(Work::Image) {
        plan.block(WaitingOn::Running { work: Work::Image });
    } else if !plan.backs_off(Work::Image, input) {
        let reason = match &state.present {
            Some(_) if is_hijacked(desired, state) => Reason::ImageChanged,
            Some(_) => Reason::ContextChanged,
            None if state.damaged => Reason::ImageDamaged,
            None => Reason::ImageMissing,
        };
        let action = Action::EnsureImage(desired.spec().image.clone());
        let step = plan.step(action, reason, input);
        plan.builder.background.push(step);
    }
    // An outdated image may be used to repair a companion that is down. A running one waits for the new image,
    // to restart only once. An image tagged outside companion is never used: the unit keeps the previous image.
    let runs = seen.service.known().is_none_or(|service| service.is_up());
    let getting =
        plan.is_running(Work::Image) || plan.holding_failure(Work::Image, input).is_none();
    let waits = (runs && getting) || is_hijacked(desired, state);
    state.present.as_ref().filter(|_| !waits)
}

/// Returns whether the build tag points to an image that was not built here.
fn is_hijacked(desired: &DesiredCompanion, state: &ImageState) -> bool {
    let built = desired.spec().image.build.as_ref().map(|build| &build.reference);
    let present = state.present.as_ref();
    present.is_some_and(|image| {
        image.provenance == Provenance::External && Some(&image.reference) == built
    })
}
