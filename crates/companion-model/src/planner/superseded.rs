//! Cancels running work that is superseded: a rendering or a build of a companion that is no longer desired, or with an
//! outdated input. Its result is no longer desired, and it may take long.
//!
//! Inputs are compared without the generation: recording the same intent again cancels nothing. An unknown
//! input counts as unchanged. The wait for a job of the service manager is never cancelled: the job would go on.

use std::hash::Hash;

use super::input_of;
use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::model::hook::Rendering;
use crate::model::observed::{Attempt, Observation, ObservedState, Work};

pub(super) fn work(desired: &DesiredState, observed: &ObservedState) -> Vec<(CompanionName, Work)> {
    let running = observed.history.running.iter();
    let all = running.flat_map(|(name, all)| all.iter().map(move |(work, it)| (name, *work, it)));
    all.filter(|(name, work, attempt)| is_superseded(name, *work, attempt, desired, observed))
        .map(|(name, work, _)| (name.clone(), work))
        .collect()
}

fn is_superseded(
    name: &CompanionName,
    work: Work,
    running: &Attempt,
    desired: &DesiredState,
    observed: &ObservedState,
) -> bool {
    if !matches!(work, Work::Hook | Work::Image) {
        return false;
    }
    let Some(companion) = desired.companion(name) else { return true };
    let Some(seen) = observed.companions.get(name) else { return false };
    if work == Work::Image {
        let image = seen.image.as_ref().and_then(Observation::known);
        return image
            .is_some_and(|image| differs(running, &(&companion.spec().image, image.context)));
    }
    let state = seen.hook.as_ref().and_then(Observation::known);
    match (&companion.spec().hook, state) {
        (Some(hook), Some(state)) if matches!(state.rendering, Rendering::Outdated { .. }) => {
            differs(running, &(hook, &state.rendering))
        }
        // The running rendering may be the one whose digest is known by now.
        (Some(_), Some(_)) | (None, _) => running.generation != companion.generation,
        (Some(_), None) => false,
    }
}

fn differs(running: &Attempt, parts: &impl Hash) -> bool {
    running.input != input_of(running.generation, parts)
}
