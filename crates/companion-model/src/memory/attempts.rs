//! Attempt history: how often each failed, and when it may be retried.

use std::collections::BTreeMap;

use super::{End, Memory, TaskKey};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::error::{PortErrorKind, Problem};
use crate::model::observed::{Failure, Work};
use crate::model::revision::Fingerprint;
use crate::plan::Plan;
use crate::planner::backoff;

impl Memory {
    /// Counts an attempt when it starts; only a later reconcile that observes its success resets the count.
    pub fn begin(
        &mut self,
        name: &CompanionName,
        work: Work,
        input: Fingerprint,
        now: Monotonic,
        jitter: u16,
    ) {
        let failures = self.history.failures.entry(name.clone()).or_default();
        let before = failures.get(&work).filter(|failure| failure.input == input);
        let count = before.map_or(0, |failure| failure.count).saturating_add(1);
        let retry_at = now.after(backoff::delay(count, jitter));
        let problem = Problem::new(PortErrorKind::Transient, without_effect(work));
        failures.insert(work, Failure { input, count, retry_at, problem });
    }

    /// Records the error of the attempt counted last.
    pub fn failed(&mut self, name: &CompanionName, work: Work, problem: &Problem) {
        let failures = self.history.failures.get_mut(name);
        if let Some(failure) = failures.and_then(|failures| failures.get_mut(&work)) {
            failure.problem.clone_from(problem);
        }
    }

    /// Records the outcome of a task of an earlier reconcile. Its back-off starts at that time, whatever the
    /// outcome.
    pub(super) fn ended(
        &mut self,
        (name, work): &TaskKey,
        input: Fingerprint,
        end: &End,
        at: Monotonic,
        jitter: u16,
    ) {
        let failures = self.history.failures.get_mut(name);
        let counted = failures.and_then(|failures| failures.get_mut(work));
        let Some(failure) = counted.filter(|failure| failure.input == input) else { return };
        failure.retry_at = at.after(backoff::delay(failure.count, jitter));
        if let End::Failed(problem) = end {
            failure.problem.clone_from(problem);
        }
    }

    /// Returns the end of the longest back-off.
    pub fn last_retry(&self) -> Option<Monotonic> {
        let failures = self.history.failures.values().flat_map(BTreeMap::values);
        failures.map(|failure| failure.retry_at).max()
    }

    /// Forgets, as of `now`, the failures of work that the plan found recovered, once that lasted for their
    /// back-off; until then, [`backoff::after_success`] shortens the next one.
    pub fn reset_backoff(&mut self, plan: &Plan, now: Monotonic) {
        for (name, work) in &plan.recovered {
            let Some(failures) = self.history.failures.get_mut(name) else { continue };
            let Some(failure) = failures.get_mut(work) else { continue };
            failure.count = backoff::after_success(*work, failure.count);
            if failure.retry_at <= now {
                failures.remove(work);
            }
        }
        self.history.failures.retain(|_, failures| !failures.is_empty());
    }
}

/// Returns the error of an attempt that reported success without the expected result.
fn without_effect(work: Work) -> &'static str {
    match work {
        Work::Hook => "the rendered file was not committed or changed again",
        Work::Image => "the image is still missing or outdated",
        Work::Unit => "the unit file changed after it was written",
        Work::Load => "the unit was not loaded by the reload",
        Work::Service => "the service did not stay up",
        Work::Removal => "removed objects still exist",
        Work::Prune => "replaced images or files still exist",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn repair_that_is_undone_again_and_again_is_repeated_every_20_seconds() {
        let (name, input) = (CompanionName::new("web").unwrap(), Fingerprint::of(b"input"));
        let plan = Plan { recovered: vec![(name.clone(), Work::Service)], ..Plan::default() };
        let mut attempts = Memory::default();
        let mut now = Monotonic::default();
        let mut delays = Vec::new();
        for _ in 0..6 {
            attempts.begin(&name, Work::Service, input, now, 0);
            let retry_at = attempts.last_retry().unwrap();
            delays.push(now.until(retry_at).as_secs());
            attempts.reset_backoff(&plan, now.after(Duration::from_secs(4)));
            now = retry_at;
        }
        assert_eq!(delays, [5, 10, 20, 20, 20, 20]);
        attempts.reset_backoff(&plan, now);
        assert_eq!(attempts, Memory::default(), "it lasted for its back-off");
    }
}
