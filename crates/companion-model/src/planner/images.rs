//! The second stage: the image.

use super::CompanionPlan;
use crate::model::desired::DesiredCompanion;
use crate::model::image::{PresentImage, Provenance};
use crate::model::observed::Work;
use crate::plan::{Action, Reason, WaitingOn};

/// Returns the image for the later stages, or `None` if they must wait.
pub(super) fn rule<'p>(
    plan: &mut CompanionPlan<'p>,
    desired: &DesiredCompanion,
) -> Option<&'p PresentImage> {
    let state = plan.read("image", plan.seen.image.as_ref())?;
    if state.is_current() {
        plan.recovered(Work::Image);
        return state.present.as_ref();
    }
    let input = plan.input(&(&desired.spec().image, state.context));
    let is_running = plan.is_running(Work::Image);
    let backs_off = !is_running && plan.backs_off(Work::Image, input);
    if is_running {
        plan.block(WaitingOn::Running { work: Work::Image });
    } else if !backs_off {
        let reason = match &state.present {
            Some(image) if is_unmanaged(image) => Reason::ImageChanged,
            Some(_) => Reason::ContextChanged,
            None if state.damaged => Reason::ImageDamaged,
            None => Reason::ImageMissing,
        };
        plan.step(Action::EnsureImage(desired.spec().image.clone()), reason, input);
    }
    // An outdated image may be used to repair a companion that is down. A running one waits for the new image,
    // to restart only once. An image tagged outside companion is not used: the unit keeps the previous image. If that
    // is this image, it was built here before builds were recorded, or its record was lost.
    let runs = plan.seen.service.known().is_none_or(|service| service.is_up());
    let is_usable = |image: &&PresentImage| {
        let named = plan.seen.claims().iter().any(|claim| claim.image == image.fingerprint());
        named || !is_unmanaged(image)
    };
    state.present.as_ref().filter(|_| !runs || backs_off).filter(is_usable)
}

/// Returns whether the build tag points to this image, but no record says that it was built here.
fn is_unmanaged(image: &PresentImage) -> bool {
    image.provenance == Provenance::Unmanaged
}
