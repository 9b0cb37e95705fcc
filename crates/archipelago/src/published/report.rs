//! Making a status report of a reconcile: what a reconciler does not know of the wall clock and of what it
//! reported before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use companion_core::model::Monotonic;
use companion_core::model::companion::CompanionName;
use companion_core::reconciler::Reconcile;
use companion_core::status::{CompanionStatus, Condition, Health, status};
use tokio::time::Instant;

use super::wall_clock;

/// What was reported before, so that what did not change is reported in the same words.
#[derive(Debug, Default)]
pub(super) struct Reported {
    conditions: BTreeMap<(CompanionName, String), Known>,
    health: BTreeMap<CompanionName, Health>,
    outages: Outages,
}

/// When companions that were ready stopped being so.
#[derive(Debug, Default)]
pub(crate) struct Outages(BTreeMap<CompanionName, Option<Instant>>);

impl Outages {
    /// Returns, for a companion that is ready again, how long it was not.
    pub(crate) fn observe(&mut self, status: &CompanionStatus) -> Option<Duration> {
        let is_ready = status.health == Health::Ready;
        match self.0.get_mut(&status.name) {
            Some(since) if is_ready => since.take().map(|since| since.elapsed()),
            Some(since) => {
                since.get_or_insert_with(Instant::now);
                None
            }
            None if is_ready => {
                self.0.insert(status.name.clone(), None);
                None
            }
            // A companion that is being installed is not repaired.
            None => None,
        }
    }

    /// Forgets all companions but those that `is_known` accepts.
    pub(crate) fn retain(&mut self, is_known: impl Fn(&CompanionName) -> bool) {
        self.0.retain(|name, _| is_known(name));
    }
}

/// When a condition began, and when its next attempt is due, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Known {
    since: u64,
    retry_at: Option<Monotonic>,
    next_attempt: Option<u64>,
}

impl Reported {
    /// The status of every companion in `reconcile`, by the wall clock.
    ///
    /// A point of the wall clock is computed once for each point of the reconciler's clock: a report of
    /// the same state is the same, and a wall clock that jumps changes none.
    pub(super) fn companions(&mut self, reconcile: &Reconcile) -> Vec<CompanionStatus> {
        let mut companions = status(reconcile);
        let mut kept = BTreeMap::new();
        for companion in &mut companions {
            for condition in &mut companion.conditions {
                let key = (companion.name.clone(), condition.reason.clone());
                let known = self.known(&key, condition, reconcile.at);
                (condition.since, condition.next_attempt) = (Some(known.since), known.next_attempt);
                kept.insert(key, known);
            }
        }
        self.conditions = kept;
        companions
    }

    fn known(&self, key: &(CompanionName, String), condition: &Condition, at: Monotonic) -> Known {
        let now = wall_clock().as_secs();
        let before = self.conditions.get(key).copied();
        let since = before.map_or(now, |before| before.since);
        // What passes within moments has no attempts, and is looked at again at another point each time.
        let retry_at = condition.retry_at.filter(|_| condition.attempts.is_some());
        match before.filter(|before| before.retry_at == retry_at) {
            Some(before) => before,
            None => {
                let due = |retry_at| now.saturating_add(at.until(retry_at).as_secs());
                Known { since, retry_at, next_attempt: retry_at.map(due) }
            }
        }
    }

    /// The companions of `companions` whose health is another than before; those that are ready again with how long
    /// they were not.
    pub(super) fn changed<'c>(
        &mut self,
        companions: &'c [CompanionStatus],
    ) -> Vec<(&'c CompanionStatus, Option<Duration>)> {
        let known: BTreeSet<_> = companions.iter().map(|status| &status.name).collect();
        let is_known = |name: &CompanionName| known.contains(name);
        self.health.retain(|name, _| is_known(name));
        self.outages.retain(is_known);
        let changed = companions.iter().filter_map(|status| {
            let (name, health) = (&status.name, status.health);
            let repaired = self.outages.observe(status);
            let before = self.health.insert(name.clone(), health);
            (before != Some(health)).then_some((status, repaired))
        });
        changed.collect()
    }
}
