//! The state that a reconciler keeps between reconciles, as plain data.
//!
//! It holds nothing that can be read from the host, and no runtime handle, so it can be cloned.

use std::time::Duration;

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::model::error::Problem;
use crate::model::observed::{Attempt, FirstSeen, History, ObservedState, VerifiedRun, Work};
use crate::model::unit::UnitFileState;
use crate::planner::RESTART_INTERVAL;
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

    fn remove_task(&mut self, (name, work): &TaskKey) -> Option<Attempt> {
        let running = self.history.running.get_mut(name)?;
        let attempt = running.remove(work);
        self.history.running.retain(|_, running| !running.is_empty());
        attempt
    }

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
            let Some(attempt) = self.remove_task(key) else { return false };
            if *end != End::Dropped {
                self.ended(key, attempt.input, end, now.before(*ago), jitter());
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
        let is_outdated = |name: &CompanionName, work: &Work| match work {
            Work::Hook | Work::Image => desired.companion(name).is_none(),
            Work::Unit | Work::Load | Work::Service | Work::Removal | Work::Prune => false,
        };
        let running = self.history.running.iter();
        let keys = running.flat_map(|(name, all)| all.keys().map(move |work| (name, *work)));
        let outdated = keys.filter(|(name, work)| is_outdated(name, work));
        outdated.map(|(name, work)| (name.clone(), work)).collect()
    }

    /// Updates the memory from the observed state and the plan, before execution.
    pub fn learn(&mut self, reconcile: &Reconcile) {
        self.reset_backoff(&reconcile.plan, self.now);
        self.remember_gone(reconcile);
        self.remember_verified(&reconcile.observed);
        self.remember_young(&reconcile.observed);
    }

    /// Records the runs observed with a matching unit file, and forgets those of removed companions.
    fn remember_verified(&mut self, observed: &ObservedState) {
        self.history.verified.retain(|name, _| observed.companions.contains_key(name));
        for (name, seen) in &observed.companions {
            let (Some(file), Some(service)) = (seen.unit.known(), seen.service.known()) else {
                continue;
            };
            let UnitFileState::Current { revision } = file.state else { continue };
            let carried = [service.loaded(), service.running] == [Some(revision), Some(revision)];
            if let Some(run_id) = service.run_id.clone().filter(|_| carried) {
                self.history.verified.insert(name.clone(), VerifiedRun { revision, run_id });
            }
        }
    }

    /// Records when each young run was first observed, so that it ages even if the host's clock was set back. A run
    /// that the host reports as old enough needs no record.
    fn remember_young(&mut self, observed: &ObservedState) {
        let known = std::mem::take(&mut self.history.up_since);
        for (name, seen) in &observed.companions {
            let Some(service) = seen.service.known() else {
                let carried = known.get(name).cloned();
                self.history.up_since.extend(carried.map(|seen| (name.clone(), seen)));
                continue;
            };
            let young = service.is_up() && service.up_for < RESTART_INTERVAL;
            let Some(run_id) = service.run_id.clone().filter(|_| young) else { continue };
            let before = known.get(name).filter(|before| before.run_id == run_id);
            let at = before.map_or(self.now, |before| before.at);
            self.history.up_since.insert(name.clone(), FirstSeen { run_id, at });
        }
    }

    /// Records completed removals, and forgets those whose companion is desired again. If the name belongs to
    /// an unmanaged object, the managed remains are unknown.
    fn remember_gone(&mut self, Reconcile { desired, observed, plan, .. }: &Reconcile) {
        self.history.gone.retain(|name, _| desired.removal(name).is_some());
        for (name, removed) in desired.removed() {
            let file = observed.companions.get(name).and_then(|seen| seen.unit.known());
            let unmanaged =
                file.is_some_and(|file| matches!(file.state, UnitFileState::Unmanaged { .. }));
            if plan.is_converged_for(name) && !unmanaged {
                self.history.gone.insert(name.clone(), removed.generation);
            } else {
                self.history.gone.remove(name);
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
