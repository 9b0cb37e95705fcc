//! Cancels running work that is superseded: a rendering or a build with an outdated input. Its result is no
//! longer desired, and it may take long.
//!
//! Inputs are compared without the generation: recording the same intent again cancels nothing. An unknown
//! input counts as unchanged.

use std::hash::Hash;

use super::hooks::attempt;
use super::{CompanionPlan, input_of};
use crate::model::desired::DesiredCompanion;
use crate::model::hook::Rendering;
use crate::model::observed::{Attempt, Observation, ObservedCompanion, Work};

pub(super) fn rule(
    plan: &mut CompanionPlan<'_, '_>,
    desired: &DesiredCompanion,
    seen: &ObservedCompanion,
) {
    if let Some(Observation::Known(image)) = &seen.image {
        let parts = (&desired.spec().image, image.context);
        drop_if(plan, Work::Image, |running| differs(running, &parts));
    }
    let generation = desired.generation();
    match (&desired.spec().hook, &seen.hook) {
        (Some(hook), Some(Observation::Known(state))) => match state.rendering {
            Rendering::Outdated { .. } => {
                drop_if(plan, Work::Hook, |running| differs(running, &attempt(hook, state)));
            }
            // The running rendering may be the one whose digest is known by now.
            Rendering::Known(_) | Rendering::NotReady { .. } => {
                drop_if(plan, Work::Hook, |running| running.generation != generation);
            }
        },
        (None, _) => drop_if(plan, Work::Hook, |running| running.generation != generation),
        (Some(_), Some(Observation::Unknown(_)) | None) => {}
    }
}

fn differs(running: Attempt, parts: &impl Hash) -> bool {
    running.input != input_of(running.generation, parts)
}

fn drop_if(plan: &mut CompanionPlan<'_, '_>, work: Work, outdated: impl FnOnce(Attempt) -> bool) {
    if plan.running(work).is_some_and(outdated) {
        plan.builder.superseded.push((plan.name.clone(), work));
    }
}
