//! What a reconciler remembers from one reconcile to the next, as plain data.
//!
//! It holds nothing that the host could be asked, and no handle of the runtime: a copy of it is a
//! reconciler that remembers the same.

use std::collections::BTreeMap;

use super::attempts::Attempts;
use super::reconcile::Context;
use super::tasks::{End, Ended, Label, Task, TaskKey};
use super::{Event, Reconcile};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::{DesiredState, Generation};
use crate::model::observed::{Attempt, History, ObservedState, VerifiedRun, Work};
use crate::model::unit::UnitFileState;

/// All that a reconciler remembers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Memory {
    pub(super) now: Monotonic,
    pub(super) attempts: Attempts,
    pub(super) verified: BTreeMap<CompanionName, VerifiedRun>,
    pub(super) gone: BTreeMap<CompanionName, Generation>,
    pub(super) tasks: BTreeMap<TaskKey, Label>,
}

impl Memory {
    /// Takes over, as of `now`, how tasks ended since the last look.
    pub fn catch_up(&mut self, now: Monotonic, ended: Vec<Ended>, context: &mut Context<'_>) {
        self.now = now;
        for Ended { key, end, ago } in ended {
            let Some(label) = self.tasks.remove(&key) else { continue };
            let (name, work) = &key;
            let error = match &end {
                End::Done => None,
                End::Failed { error, .. } => Some(error.as_str()),
                End::Dropped => {
                    let why = "it was dropped, because what it was for changed";
                    context.events.on_event(&Event::WorkEnded(name, *work, Some(why)));
                    continue;
                }
            };
            context.events.on_event(&Event::WorkEnded(name, *work, error));
            let at = now.before(ago);
            self.attempts.ended(&key, label.input, &end, at, (context.jitter)());
        }
    }

    /// The tasks to drop: renderings and builds for companions that are not desired any more.
    ///
    /// Those whose input was corrected since are named by the [plan](crate::plan::Plan::superseded).
    /// Jobs of the service manager are left to it: dropping their wait would cancel nothing.
    pub fn outdated(&self, desired: &DesiredState) -> Vec<TaskKey> {
        let outdated = self.tasks.keys().filter(|(name, work)| match work {
            Work::Hook | Work::Image => !desired.companions.contains_key(name),
            Work::Unit | Work::Load | Work::Service | Work::Removal | Work::Prune => false,
        });
        outdated.cloned().collect()
    }

    /// Learns from what a reconcile saw and decided, before anything of it is done.
    pub fn learn(&mut self, reconcile: &Reconcile) {
        self.attempts.reset_backoff(&reconcile.plan);
        self.remember_gone(reconcile);
        self.remember_verified(&reconcile.observed);
    }

    /// When the last of the back-offs that it holds is over.
    pub fn last_retry(&self) -> Option<Monotonic> {
        self.attempts.last_retry()
    }

    /// Enters a task that was just begun.
    pub(super) fn task_begun(&mut self, task: &Task) {
        self.tasks.insert(task.key().clone(), task.label().clone());
    }

    /// Forgets all tasks, because all were dropped.
    pub(super) fn forget_tasks(&mut self) {
        self.tasks.clear();
    }

    /// What of it the planner is told.
    pub(super) fn history(&self) -> History {
        let mut running: BTreeMap<CompanionName, BTreeMap<Work, Attempt>> = BTreeMap::new();
        for ((name, work), Label { generation, input }) in &self.tasks {
            let attempt = Attempt { generation: *generation, input: *input };
            running.entry(name.clone()).or_default().insert(*work, attempt);
        }
        History {
            failures: self.attempts.failures.clone(),
            running,
            verified: self.verified.clone(),
            gone: self.gone.clone(),
        }
    }

    /// Notes the runs that were just seen beneath a true unit file, and forgets those of companions
    /// that are not there any more.
    fn remember_verified(&mut self, observed: &ObservedState) {
        self.verified.retain(|name, _| observed.companions.contains_key(name));
        for (name, seen) in &observed.companions {
            let (Some(file), Some(service)) = (seen.unit.known(), seen.service.known()) else {
                continue;
            };
            let UnitFileState::Current { revision } = file.state else { continue };
            let carried = [service.loaded, service.running] == [Some(revision), Some(revision)];
            if let Some(invocation) = service.invocation.clone().filter(|_| carried) {
                self.verified.insert(name.clone(), VerifiedRun { revision, invocation });
            }
        }
    }

    /// Notes the removals of which nothing is left, and forgets those whose companion is wanted
    /// again. Where a stranger has the name, it is not known what of ours goes by it.
    fn remember_gone(&mut self, Reconcile { desired, observed, plan, .. }: &Reconcile) {
        self.gone.retain(|name, _| desired.removed.contains_key(name));
        for (name, removed) in &desired.removed {
            let file = observed.companions.get(name).and_then(|seen| seen.unit.known());
            let unmanaged =
                file.is_some_and(|file| matches!(file.state, UnitFileState::Unmanaged { .. }));
            if plan.is_converged_for(name) && !unmanaged {
                self.gone.insert(name.clone(), removed.generation);
            } else {
                self.gone.remove(name);
            }
        }
    }
}
