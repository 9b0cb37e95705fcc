//! What must be so at every look, besides the rules that the plan is [checked](companion_core::check)
//! for: those judge what begins, this what goes on.
//!
//! An effect is for what its leader last read. An intent may be recorded at any time, and is carried out
//! from the next look on; what is under way for an older one ends there. That nothing is made after a
//! removal was reported as finished, and no restart has no cause, the fake keeps by itself.

use companion_core::model::desired::DesiredCompanion;
use companion_core::model::observed::ObservedCompanion;
use companion_core::reconciler::Reconcile;
use companion_core::reconciler::stepwise::{Stage, Task};

use super::state::Leader;

/// What `leader` goes on with, after it began `reconcile`, that it does not desire.
pub fn after_look<'a>(
    reconcile: &'a Reconcile,
    leader: &'a Leader,
) -> impl Iterator<Item = String> + 'a {
    let unwanted = leader.tasks.values().filter(|task| {
        let (name, _work) = task.key();
        // Of what cannot be read it is not known whether what goes on is for it.
        let desired = reconcile.desired.companions.get(name);
        let seen = reconcile.observed.companions.get(name).is_some_and(is_seen);
        (seen || desired.is_none()) && !is_desired(task, desired)
    });
    unwanted.map(|task| {
        let (name, work) = task.key();
        format!("S4: {work:?} of `{name}` goes on, and it is not desired")
    })
}

fn is_seen(companion: &ObservedCompanion) -> bool {
    let hook = companion.hook.as_ref().is_none_or(|hook| hook.known().is_some());
    let image = companion.image.as_ref().is_none_or(|image| image.known().is_some());
    hook && image
}

/// Whether what `task` renders, builds or pulls is what is `desired` of its companion.
fn is_desired(task: &Task, desired: Option<&DesiredCompanion>) -> bool {
    let spec = desired.map(DesiredCompanion::spec);
    match task.stage() {
        Stage::Render(hook, _) | Stage::Commit(hook, ..) => {
            spec.is_some_and(|spec| spec.hook.as_ref() == Some(hook))
        }
        Stage::Ensure(source) => spec.is_some_and(|spec| spec.image == *source),
        // It waits for what the service manager does, or removes.
        Stage::Prune(_) | Stage::Wait(_) | Stage::Over => true,
    }
}
