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
pub(super) fn rule(plan: &mut CompanionPlan<'_>, desired: &DesiredCompanion, running: Revision) {
    let images = unused_images(plan);
    let files = plan.seen.hook.as_ref().and_then(Observation::known).zip(running.config);
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
        plan.step(action, Reason::Superseded, input);
    }
    if !images.is_empty() {
        plan.step(Action::PruneImages(images), Reason::Superseded, input);
    }
}

/// Returns the companion's dangling images that no unit of any companion names; none if a unit or a process could not
/// be read.
fn unused_images(plan: &CompanionPlan<'_>) -> Vec<ImageId> {
    let image = plan.seen.image.as_ref().and_then(Observation::known);
    let Some(image) = image.filter(|image| !image.dangling.is_empty()) else {
        return Vec::new();
    };
    let all = || plan.observed.companions.values();
    if all().any(|seen| seen.unit.known().is_none() || seen.service.known().is_none()) {
        return Vec::new();
    }
    let named: Vec<_> =
        all().flat_map(ObservedCompanion::claims).map(|revision| revision.image).collect();
    image.dangling.iter().filter(|id| !named.contains(&id.fingerprint())).cloned().collect()
}
