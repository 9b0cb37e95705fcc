//! What must be so at every effect, judged on the world as it is and not on what the actor saw.
//!
//! A wish is recorded only while nobody acts, so a step is against its wish only if the planner
//! contradicts the record that it was handed; what a task commits can come later than its wish. What is
//! wrong with an effect itself, a restart without a cause among it, the fake keeps as a violation.

use adapter_fake::World;
use adapter_fake::world::desired::Wish;
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::plan::Action;
use companion_core::reconciler::stepwise::Executor;

/// What the next step of `executor` would break in `world`.
pub fn before_step(world: &World, executor: &Executor) -> Option<String> {
    let step = executor.steps().next()?;
    let name = step.companion.as_ref()?;
    let makes = match step.action {
        Action::RunHook(_)
        | Action::EnsureImage(_)
        | Action::ReplaceImage(_)
        | Action::WriteUnit(_)
        | Action::StartUnit(_)
        | Action::RestartUnit(_) => true,
        Action::StopUnit
        | Action::RemoveUnit
        | Action::RemoveConfig(_)
        | Action::RemoveContainer => false,
        Action::ResetFailed | Action::PruneImages(_) | Action::DaemonReload { .. } => return None,
    };
    wished(world, name, step.generation, makes)
}

/// Whether an effect for `name` that makes something, or else takes something away, is for its last
/// wish; what is wrong if not.
pub fn wished(
    world: &World,
    name: &CompanionName,
    generation: Generation,
    makes: bool,
) -> Option<String> {
    let (wanted, last) = match world.slot(name).and_then(|slot| slot.wish) {
        Some(Wish::Exists { generation, .. }) => (true, generation),
        Some(Wish::Gone { generation, .. }) => (false, generation),
        // The record was lost since it was read; nobody who makes wishes takes one away.
        None => return None,
    };
    if Generation(last) != generation {
        return Some(format!("S5: an effect for `{name}` is for an older wish"));
    }
    (wanted != makes).then(|| format!("S4: an effect for `{name}` is against its wish"))
}
