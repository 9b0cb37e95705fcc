//! Rebasing: maps memories that differ only in time to one memory.

use std::collections::BTreeMap;

use super::memory::Memory;
use super::tasks::Task;
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::Generation;
use crate::model::observed::Work;
use crate::model::revision::Fingerprint;
use crate::planner::{CONFIG_INTERVAL, stop_input};

/// The number of failures after which the back-off no longer grows.
const LONGEST_FROM: u32 = 9;

/// The id of a companion's current run, before and after rebasing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// The generation of the companion's intent.
    pub generation: Generation,
    /// The id before.
    pub before: Option<String>,
    /// The id after.
    pub after: Option<String>,
}

impl Memory {
    /// Returns the same memory on a clock on which `now` is `origin`, without data that no decision depends on.
    ///
    /// Two memories with the same future behaviour become equal, if the host is rebased too. Runs are renamed
    /// according to `runs`; all others are earlier ones. Error messages are removed.
    #[must_use]
    pub fn rebased(
        &self,
        now: Monotonic,
        origin: Monotonic,
        runs: &BTreeMap<CompanionName, RunName>,
    ) -> Self {
        let mut memory = self.clone();
        memory.now = origin;
        for (name, failures) in &mut memory.attempts.failures {
            for (work, failure) in failures {
                failure.retry_at = origin.after(now.until(failure.retry_at));
                failure.count = failure.count.min(LONGEST_FROM);
                failure.error.clear();
                failure.input = renamed(failure.input, *work, runs.get(name));
            }
        }
        for ((name, work), label) in &mut memory.tasks {
            label.input = renamed(label.input, *work, runs.get(name));
        }
        for (name, seen) in &mut memory.up_since {
            let age = seen.at.until(now).min(CONFIG_INTERVAL);
            seen.at = origin.before(age);
            seen.run_id = renamed_run(&seen.run_id, runs.get(name));
        }
        for (name, verified) in &mut memory.verified {
            verified.run_id = renamed_run(&verified.run_id, runs.get(name));
        }
        memory
    }
}

impl Task {
    /// Returns the same task on a rebased host, where its job has the id `job`.
    #[must_use]
    pub fn rebased(self, job: Option<String>) -> Self {
        job.into_iter().fold(self, Self::with_job)
    }
}

/// Returns the new id of the run `run_id`, if it is the current one.
fn renamed_run(run_id: &str, run: Option<&RunName>) -> String {
    let run = run.filter(|run| run.before.as_deref() == Some(run_id));
    run.and_then(|run| run.after.clone()).unwrap_or_else(|| "an earlier run".to_owned())
}

/// The input of a stop contains the stopped run.
fn renamed(input: Fingerprint, work: Work, run: Option<&RunName>) -> Fingerprint {
    let Some(run) = run.filter(|run| work == Work::Removal && run.before != run.after) else {
        return input;
    };
    let named = |run_id: &Option<String>| stop_input(run.generation, run_id.as_deref());
    if input == named(&run.before) {
        named(&run.after)
    } else if input == named(&run.after) {
        Fingerprint::of(b"an earlier run")
    } else {
        input
    }
}
