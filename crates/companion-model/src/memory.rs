//! The state that a reconciler keeps between reconciles, as plain data.
//!
//! It holds nothing that can be read from the host, and no runtime handle, so it can be cloned.

use std::time::Duration;

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::error::Problem;
use crate::model::observed::{Attempt, History, KnownRun, ObservedState, Work};
use crate::model::unit::UnitFileState;
use crate::planner::{RESTART_INTERVAL, backoff};
use crate::reconcile::Reconcile;

mod attempts;

/// The memory of a reconciler.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Memory {
    /// The time of the last [`catch_up`](Self::catch_up).
    pub now: Monotonic,
    /// What earlier reconciles learned.
    pub history: History,
}

impl Memory {
    /// Records that a task is running.
    pub fn started(&mut self, (name, work): TaskKey, attempt: Attempt) {
        self.history.running.entry(name).or_default().insert(work, attempt);
    }

    /// Records, as of `now`, the tasks that ended since the last call, and returns those that it knew.
    ///
    /// `jitter` is the jitter of the back-off delay, see [`backoff::delay`].
    pub fn catch_up(
        &mut self,
        now: Monotonic,
        mut ended: Vec<Ended>,
        jitter: &mut dyn FnMut() -> u16,
    ) -> Vec<Ended> {
        self.now = now;
        ended.retain(|Ended { key: (name, work), end, ago }| {
            let running = self.history.running.get_mut(name);
            let Some(attempt) = running.and_then(|it| it.remove(work)) else { return false };
            let failure = self.history.failures.get_mut(name).and_then(|it| it.get_mut(work));
            if let Some(failure) = failure.filter(|failure| failure.input == attempt.input)
                && *end != End::Dropped
            {
                // The back-off starts when the work ended, whatever its outcome.
                let delay = backoff::delay(failure.count, jitter());
                failure.retry_at = now.before(*ago).after(delay);
                if let End::Failed(problem) = end {
                    failure.problem.clone_from(problem);
                }
            }
            true
        });
        self.history.running.retain(|_, running| !running.is_empty());
        ended
    }

    /// Updates the memory from the observed state and the plan, before execution.
    pub fn learn(&mut self, reconcile: &Reconcile) {
        self.reset_backoff(&reconcile.plan, self.now);
        self.remember_removed(reconcile);
        self.remember_runs(&reconcile.observed);
    }

    /// Records the runs observed with a matching unit file, and when each young run was first observed, so that it ages even
    /// if the host's clock was set back. An older run needs no time.
    fn remember_runs(&mut self, observed: &ObservedState) {
        let mut known = std::mem::take(&mut self.history.runs);
        for (name, seen) in &observed.companions {
            let before = known.remove(name);
            let Some(service) = seen.service.known() else {
                self.history.runs.extend(before.map(|run| (name.clone(), run)));
                continue;
            };
            let Some(run_id) = service.run_id.clone() else { continue };
            let before = before.filter(|before| before.run_id == run_id);
            let (up_since, verified) =
                before.map_or((None, None), |before| (before.up_since, before.verified));
            let is_young = service.is_up() && service.up_for < RESTART_INTERVAL;
            let up_since = is_young.then(|| up_since.unwrap_or(self.now));
            let current = seen.unit.known().and_then(|file| match file.state {
                UnitFileState::Current { revision } => Some(revision),
                _ => None,
            });
            let is_carried = current == service.loaded() && current == service.running;
            let verified = current.filter(|_| is_carried).or(verified);
            if up_since.is_some() || verified.is_some() {
                self.history.runs.insert(name.clone(), KnownRun { run_id, up_since, verified });
            }
        }
    }

    /// Records completed removals, and forgets those whose companion is desired again. If the name belongs to
    /// an unmanaged object, the managed remains are unknown.
    fn remember_removed(&mut self, Reconcile { desired, observed, plan, .. }: &Reconcile) {
        self.history.removed.retain(|name, _| desired.removal(name).is_some());
        for (name, removed) in desired.removed() {
            let file = observed.companions.get(name).and_then(|seen| seen.unit.known());
            let unmanaged =
                file.is_some_and(|file| matches!(file.state, UnitFileState::Unmanaged { .. }));
            if plan.is_converged_for(name) && !unmanaged {
                self.history.removed.insert(name.clone(), removed.generation);
            } else {
                self.history.removed.remove(name);
            }
        }
    }
}

/// Identifies a task within its reconciler: running work is not started again.
pub type TaskKey = (CompanionName, Work);

/// A finished task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ended {
    /// Its key.
    pub key: TaskKey,
    /// Its result.
    pub end: End,
    /// How long ago it ended. A program that reconciles rarely collects it late, when its back-off may already
    /// be over.
    pub ago: Duration,
}

/// The result of a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// It succeeded.
    Done,
    /// It failed.
    Failed(Problem),
    /// Its reconciler cancelled it.
    Dropped,
}

impl End {
    /// Returns the error message, unless it succeeded.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Done => None,
            Self::Failed(problem) => Some(&problem.message),
            Self::Dropped => Some("cancelled: its input changed"),
        }
    }
}
