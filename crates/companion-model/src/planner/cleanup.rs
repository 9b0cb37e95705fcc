//! The last stage: removes replaced images and rendered files once the companion runs from the newer ones.
//!
//! Until then the unit may name the older ones, and its next restart would need them.

use super::CompanionPlan;
use crate::model::desired::DesiredCompanion;
use crate::model::image::ImageId;
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::model::revision::Revision;
use crate::plan::{Action, Reason};

/// Plans the removal of unused objects; `running` is the running and desired revision.
pub(super) fn rule(
    plan: &mut CompanionPlan<'_, '_>,
    desired: &DesiredCompanion,
    running: Revision,
    seen: &ObservedCompanion,
) {
    let images = unused_images(plan, seen);
    let files = seen.hook.as_ref().and_then(Observation::known).zip(running.config);
    let stale = files.filter(|(state, keep)| state.files.keys().any(|id| id != keep));
    if images.is_empty() && stale.is_none() {
        plan.recovered(Work::Prune);
        return;
    }
    let input = plan.input(&(&images, stale.map(|(state, keep)| (&state.files, keep))));
    // Remaining objects only use space, so a failed cleanup blocks nothing.
    if plan.is_running(Work::Prune) || plan.holding_failure(Work::Prune, input).is_some() {
        return;
    }
    if let (Some(hook), Some((_, keep))) = (&desired.spec().hook, stale) {
        let action = Action::SweepConfigs { hook: hook.clone(), keep };
        let step = plan.step(action, Reason::Superseded, input);
        plan.builder.cleanup.push(step);
    }
    if !images.is_empty() {
        let step = plan.step(Action::PruneImages(images), Reason::Superseded, input);
        plan.builder.cleanup.push(step);
    }
}

/// Returns the companion's dangling images that no unit of any companion names.
fn unused_images(plan: &CompanionPlan<'_, '_>, seen: &ObservedCompanion) -> Vec<ImageId> {
    let image = seen.image.as_ref().and_then(Observation::known);
    let (Some(image), Some(named)) = (image, &plan.builder.named_images) else {
        return Vec::new();
    };
    image.dangling.iter().filter(|id| !named.contains(&id.fingerprint())).cloned().collect()
}
