//! Making a status report of a reconcile: what a reconciler does not know of the wall clock and of what was
//! reported before.

use std::collections::BTreeMap;

use companion_core::reconciler::Reconcile;
use companion_core::status::{CompanionStatus, status};

use super::wall_clock;

/// The status of every companion in `reconcile`, by the wall clock, after `before` was reported.
///
/// A point of the wall clock is computed once for each point of the reconciler's clock: a report of
/// the same state is the same, and a wall clock that jumps changes none.
pub(super) fn dated(reconcile: &Reconcile, before: &[CompanionStatus]) -> Vec<CompanionStatus> {
    let now = wall_clock().as_secs();
    let conditions = before.iter().flat_map(|one| one.conditions.iter().map(move |it| (one, it)));
    let before: BTreeMap<_, _> =
        conditions.map(|(one, it)| ((&one.name, it.reason.as_str()), it)).collect();
    let mut companions = status(reconcile);
    for CompanionStatus { name, conditions, .. } in &mut companions {
        for condition in conditions {
            let before = before.get(&(&*name, condition.reason.as_str())).copied();
            condition.since = before.map_or(Some(now), |before| before.since);
            // What passes within moments has no attempts, and is looked at again at another point each time.
            condition.retry_at = condition.retry_at.filter(|_| condition.attempts.is_some());
            condition.next_attempt = match before {
                Some(before) if before.retry_at == condition.retry_at => before.next_attempt,
                _ => {
                    let due = |at| now.saturating_add(reconcile.at.until(at).as_secs());
                    condition.retry_at.map(due)
                }
            };
        }
    }
    companions
}
