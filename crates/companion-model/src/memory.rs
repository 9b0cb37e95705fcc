//! The state that a reconciler keeps between reconciles, as plain data.
//!
//! It holds nothing that can be read from the host, and no runtime handle, so it can be cloned.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::{DesiredState, Generation};
use crate::model::error::Problem;
use crate::model::observed::{Attempt, FirstSeen, History, ObservedState, VerifiedRun, Work};
use crate::model::unit::UnitFileState;
use crate::planner::RESTART_INTERVAL;
use crate::reconcile::Reconcile;

mod attempts;

pub use attempts::Attempts;

/// The memory of a reconciler.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Memory {
    /// The time of the last [`catch_up`](Self::catch_up).
    pub now: Monotonic,
    /// Failures in back-off.
    pub attempts: Attempts,
    /// See [`History::verified`].
    pub verified: BTreeMap<CompanionName, VerifiedRun>,
    /// See [`History::up_since`].
    pub up_since: BTreeMap<CompanionName, FirstSeen>,
    /// See [`History::gone`].
    pub gone: BTreeMap<CompanionName, Generation>,
    /// Running tasks.
    pub tasks: BTreeMap<TaskKey, Attempt>,
}

impl Memory {
    /// Records, as of `now`, the tasks that ended since the last call, and returns those that it knew.
    ///
    /// `jitter` is the jitter of the back-off delay, see [`backoff::delay`](crate::planner::backoff::delay).
    pub fn catch_up(
        &mut self,
        now: Monotonic,
        mut ended: Vec<Ended>,
        jitter: &mut dyn FnMut() -> u16,
    ) -> Vec<Ended> {
        self.now = now;
        ended.retain(|Ended { key, end, ago }| {
            let Some(attempt) = self.tasks.remove(key) else { return false };
            if *end != End::Dropped {
                self.attempts.ended(key, attempt.input, end, now.before(*ago), jitter());
            }
            true
        });
        ended
    }

    /// Returns the tasks to cancel: renderings and builds for companions that are no longer desired.
    ///
    /// The [plan](crate::plan::Plan::superseded) lists tasks whose input changed. Service manager jobs are not
    /// included: dropping the wait would not cancel the job.
    pub fn outdated(&self, desired: &DesiredState) -> Vec<TaskKey> {
        let outdated = self.tasks.keys().filter(|(name, work)| match work {
            Work::Hook | Work::Image => desired.companion(name).is_none(),
            Work::Unit | Work::Load | Work::Service | Work::Removal | Work::Prune => false,
        });
        outdated.cloned().collect()
    }

    /// Updates the memory from the observed state and the plan, before execution.
    pub fn learn(&mut self, reconcile: &Reconcile) {
        self.attempts.reset_backoff(&reconcile.plan, self.now);
        self.remember_gone(reconcile);
        self.remember_verified(&reconcile.observed);
        self.remember_young(&reconcile.observed);
    }

    /// Returns the end of the longest back-off.
    pub fn last_retry(&self) -> Option<Monotonic> {
        self.attempts.last_retry()
    }

    /// Returns the planner's view.
    pub fn history(&self) -> History {
        let mut running: BTreeMap<CompanionName, BTreeMap<Work, Attempt>> = BTreeMap::new();
        for ((name, work), attempt) in &self.tasks {
            running.entry(name.clone()).or_default().insert(*work, *attempt);
        }
        History {
            failures: self.attempts.failures.clone(),
            running,
            verified: self.verified.clone(),
            up_since: self.up_since.clone(),
            gone: self.gone.clone(),
        }
    }

    /// Records the runs observed with a matching unit file, and forgets those of removed companions.
    fn remember_verified(&mut self, observed: &ObservedState) {
        self.verified.retain(|name, _| observed.companions.contains_key(name));
        for (name, seen) in &observed.companions {
            let (Some(file), Some(service)) = (seen.unit.known(), seen.service.known()) else {
                continue;
            };
            let UnitFileState::Current { revision } = file.state else { continue };
            let carried = [service.loaded(), service.running] == [Some(revision), Some(revision)];
            if let Some(run_id) = service.run_id.clone().filter(|_| carried) {
                self.verified.insert(name.clone(), VerifiedRun { revision, run_id });
            }
        }
    }

    /// Records when each young run was first observed, so that it ages even if the host's clock was set back. A run
    /// that the host reports as old enough needs no record.
    fn remember_young(&mut self, observed: &ObservedState) {
        let known = std::mem::take(&mut self.up_since);
        for (name, seen) in &observed.companions {
            let Some(service) = seen.service.known() else {
                let carried = known.get(name).cloned();
                self.up_since.extend(carried.map(|seen| (name.clone(), seen)));
                continue;
            };
            let young = service.is_up() && service.up_for < RESTART_INTERVAL;
            let Some(run_id) = service.run_id.clone().filter(|_| young) else { continue };
            let before = known.get(name).filter(|before| before.run_id == run_id);
            let at = before.map_or(self.now, |before| before.at);
            self.up_since.insert(name.clone(), FirstSeen { run_id, at });
        }
    }

    /// Records completed removals, and forgets those whose companion is desired again. If the name belongs to
    /// an unmanaged object, the managed remains are unknown.
    fn remember_gone(&mut self, Reconcile { desired, observed, plan, .. }: &Reconcile) {
        self.gone.retain(|name, _| desired.removal(name).is_some());
        for (name, removed) in desired.removed() {
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
