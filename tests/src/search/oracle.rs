//! What must be so at every effect, judged on the world as it is and not on what the actor saw.

use adapter_fake::World;
use adapter_fake::world::desired::{Specs, Wish};
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::plan::Action;
use companion_core::reconciler::stepwise::Executor;

use super::state::{State, Who};

/// What the next call of `executor`, which `who` carries out, would break.
pub fn before_step(state: &State, who: Who, executor: &Executor, specs: &Specs) -> Vec<String> {
    let mut broken = Vec::new();
    let other = match who {
        Who::Daemon => Who::Command,
        Who::Command => Who::Daemon,
    };
    if state.actor(other).is_some_and(super::state::Actor::holds_lock) {
        broken.push("S10: two plans are carried out at once".to_owned());
    }
    let Some(step) = executor.steps().next() else { return broken };
    let Some(name) = &step.companion else { return broken };
    let world = state.world.get();
    let makes = match step.action {
        Action::RunHook(_)
        | Action::EnsureImage(_)
        | Action::WriteUnit(_)
        | Action::StartUnit(_)
        | Action::RestartUnit(_) => Some(true),
        Action::StopUnit
        | Action::RemoveUnit
        | Action::RemoveConfig(_)
        | Action::RemoveContainer => Some(false),
        Action::ResetFailed | Action::PruneImages(_) | Action::DaemonReload { .. } => None,
    };
    broken.extend(makes.and_then(|makes| wished(world, name, step.generation, makes)));
    let acts = executor.is_ready() || matches!(step.action, Action::StopUnit);
    let disturbs = matches!(step.action, Action::RestartUnit(_));
    let wish = world.slot(name).and_then(|slot| slot.wish);
    let wanted = matches!(wish, Some(Wish::Exists { .. }));
    if acts && disturbs && wanted && world.untruth_at(name, specs).is_none() {
        broken.push(format!("S3: `{name}` runs as it should and is restarted"));
    }
    broken
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
