//! Invariants at every observation, in addition to the rules of the plan [checker](companion_core::check): those
//! cover what starts, these what continues.
//!
//! An effect serves the record that its leader read last. An intent may be recorded at any time and takes effect at
//! the next observation, which stops work for an older one. The fake itself checks that nothing is created after a
//! removal was reported as finished, and that every restart has a cause.

use companion_core::model::desired::DesiredCompanion;
use companion_core::model::observed::ObservedCompanion;
use companion_core::reconciler::Reconcile;
use companion_core::reconciler::parts::{Stage, Task};

use super::state::Leader;

/// Returns work that `leader` continues after it started `reconcile` although it is not desired.
pub fn after_look<'a>(
    reconcile: &'a Reconcile,
    leader: &'a Leader,
) -> impl Iterator<Item = String> + 'a {
    let unwanted = leader.tasks.values().filter(|task| {
        let (name, _work) = &task.key;
        // For unreadable state the target of the work is unknown.
        let desired = reconcile.desired.companion(name);
        let seen = reconcile.observed.companions.get(name).is_some_and(is_seen);
        (seen || desired.is_none()) && !is_desired(task, desired)
    });
    unwanted.map(|task| {
        let (name, work) = &task.key;
        format!("S4: {work:?} of `{name}` continues, but it is not desired")
    })
}

fn is_seen(companion: &ObservedCompanion) -> bool {
    let hook = companion.hook.as_ref().is_none_or(|hook| hook.known().is_some());
    let image = companion.image.as_ref().is_none_or(|image| image.known().is_some());
    hook && image
}

/// Whether `task` renders, builds or pulls what is `desired` of its companion.
fn is_desired(task: &Task, desired: Option<&DesiredCompanion>) -> bool {
    let spec = desired.map(DesiredCompanion::spec);
    match &task.stage {
        Stage::Render(hook, _) | Stage::Commit(hook, ..) => {
            spec.is_some_and(|spec| spec.hook.as_ref() == Some(hook))
        }
        Stage::Ensure(source) => spec.is_some_and(|spec| spec.image == *source),
        // It waits for the service manager, or removes.
        Stage::Prune(_) | Stage::Wait(_) | Stage::Over => true,
    }
}
