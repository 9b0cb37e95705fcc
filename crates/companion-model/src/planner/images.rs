//! The second stage: the image.

use super::CompanionPlan;
use crate::model::desired::DesiredCompanion;
use crate::model::image::{PresentImage, Provenance};
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
            Some(image) if is_unmanaged(image) => Reason::ImageChanged,
            Some(_) => Reason::ContextChanged,
            None if state.damaged => Reason::ImageDamaged,
            None => Reason::ImageMissing,
        };
        let action = Action::EnsureImage(desired.spec().image.clone());
        let step = plan.step(action, reason, input);
        plan.builder.background.push(step);
    }
    // An outdated image may be used to repair a companion that is down. A running one waits for the new image,
    // to restart only once. An image tagged outside companion is not used: the unit keeps the previous image. If that
    // is this image, it was built here before builds were recorded, or its record was lost.
    let runs = seen.service.known().is_none_or(|service| service.is_up());
    let getting =
        plan.is_running(Work::Image) || plan.holding_failure(Work::Image, input).is_none();
    let is_usable = |image: &&PresentImage| {
        let named = seen.claims().iter().any(|revision| revision.image == image.fingerprint());
        named || !is_unmanaged(image)
    };
    state.present.as_ref().filter(|_| !(runs && getting)).filter(is_usable)
}

/// Returns whether the build tag points to this image, but no record says that it was built here.
fn is_unmanaged(image: &PresentImage) -> bool {
    image.provenance == Provenance::Unmanaged
}
