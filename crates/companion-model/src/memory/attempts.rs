//! Attempt history: how often each failed, and when it may be retried.

use super::Memory;
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
        let problem = Problem::new(PortErrorKind::Transient, work.words().1);
        failures.insert(work, Failure { input, count, retry_at, problem });
    }

    /// Records the error of the attempt counted last.
    pub fn failed(&mut self, name: &CompanionName, work: Work, problem: &Problem) {
        let failures = self.history.failures.get_mut(name);
        if let Some(failure) = failures.and_then(|failures| failures.get_mut(&work)) {
            failure.problem.clone_from(problem);
        }
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
            let retry_at = attempts.history.failures[&name][&Work::Service].retry_at;
            delays.push(now.until(retry_at).as_secs());
            attempts.reset_backoff(&plan, now.after(Duration::from_secs(4)));
            now = retry_at;
        }
        assert_eq!(delays, [5, 10, 20, 20, 20, 20]);
        attempts.reset_backoff(&plan, now);
        assert_eq!(attempts, Memory::default(), "it lasted for its back-off");
    }
}
