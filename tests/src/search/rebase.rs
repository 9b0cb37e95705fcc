//! Rebasing: maps memories that differ only in time to one memory.

use std::collections::BTreeMap;

use companion_core::memory::Memory;
use companion_core::model::Monotonic;
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::model::observed::{History, Work};
use companion_core::model::revision::Fingerprint;
use companion_core::planner::{RESTART_INTERVAL, stop_input};

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

/// Moves `memory` to a clock on which `now` is `origin`, and removes data that no decision depends on.
///
/// Two memories with the same future behaviour become equal, if the host is rebased too. Runs are renamed
/// according to `runs`; all others are earlier ones. Error messages are removed.
pub fn rebase_memory(
    memory: &mut Memory,
    now: Monotonic,
    origin: Monotonic,
    runs: &BTreeMap<CompanionName, RunName>,
) {
    memory.now = origin;
    let History { failures, running, runs: known, .. } = &mut memory.history;
    for (name, failures) in failures {
        for (work, failure) in failures {
            failure.retry_at = origin.after(now.until(failure.retry_at));
            failure.count = failure.count.min(LONGEST_FROM);
            failure.problem.message.clear();
            failure.input = renamed(failure.input, *work, runs.get(name));
        }
    }
    for (name, running) in running {
        for (work, attempt) in running {
            attempt.input = renamed(attempt.input, *work, runs.get(name));
        }
    }
    for (name, run) in known {
        let age = |since: Monotonic| since.until(now).min(RESTART_INTERVAL);
        run.up_since = run.up_since.map(|since| origin.before(age(since)));
        run.run_id = renamed_run(&run.run_id, runs.get(name));
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
