//! Rebasing: one memory for all those that differ in when they were reached and in nothing else.

use std::collections::BTreeMap;

use super::memory::Memory;
use super::tasks::Task;
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::Generation;
use crate::model::observed::Work;
use crate::model::revision::Fingerprint;
use crate::planner::stop_input;

/// The number of failures from which on the back-off does not grow any more.
const LONGEST_FROM: u32 = 9;

/// How a host calls the present run of a companion, before and after it was rebased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// The generation of the companion's wish.
    pub generation: Generation,
    /// Its invocation before.
    pub before: Option<String>,
    /// Its invocation after.
    pub after: Option<String>,
}

impl Memory {
    /// The same memory on a clock on which `now` is `origin`, without what no decision depends on.
    ///
    /// Two memories with which a reconciler will behave alike from now on are equal after it, if the
    /// host was rebased too. Runs are renamed as `runs` says; all others are earlier ones. The words
    /// of errors are left out.
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
        for (name, verified) in &mut memory.verified {
            verified.invocation = renamed_run(&verified.invocation, runs.get(name));
        }
        memory
    }
}

impl Task {
    /// The same task on a host that was rebased, and that calls the job it waits for `job`.
    #[must_use]
    pub fn rebased(self, job: Option<String>) -> Self {
        job.into_iter().fold(self, Self::with_job)
    }
}

/// What the host calls the run now that it called `invocation`, if it is the present one.
fn renamed_run(invocation: &str, run: Option<&RunName>) -> String {
    let run = run.filter(|run| run.before.as_deref() == Some(invocation));
    run.and_then(|run| run.after.clone()).unwrap_or_else(|| "an earlier run".to_owned())
}

/// The input of a stop names the run that is stopped.
fn renamed(input: Fingerprint, work: Work, run: Option<&RunName>) -> Fingerprint {
    let Some(run) = run.filter(|run| work == Work::Removal && run.before != run.after) else {
        return input;
    };
    let named = |invocation: &Option<String>| stop_input(run.generation, invocation.as_deref());
    if input == named(&run.before) {
        named(&run.after)
    } else if input == named(&run.after) {
        Fingerprint::of(b"an earlier run")
    } else {
        input
    }
}
