//! The exhaustive searches of every commit: within their bounds, no order of calls, failing calls, faults and intents
//! violates an invariant, and an undisturbed host converges from every state.

#![expect(clippy::print_stdout, reason = "the test prints the result of the search")]

use std::collections::BTreeSet;

use companion_tests::search::breadth::{COMMIT, search};
use companion_tests::search::tables::{Start, Table, pairs, singles};

/// The required coverage: every reason, wait, step and kind of error that the moves can cause.
const SEARCHES_REACH: &[&str] = &[
    "because ConfigChanged",
    "because ConfigReadableByOthers",
    "because ConfigMissing",
    "because ConfigRestored",
    "because ConfigUnlinked",
    "because ConfigWritableByOthers",
    "because ContextChanged",
    "because ImageChanged",
    "because ImageMissing",
    "because LoadedUnitStale",
    "because NotRunning",
    "because Frozen",
    "because Removed",
    "because RendererChanged",
    "because SpecChanged",
    "because Superseded",
    "because UnitFileDrifted",
    "because UnitFileWrongMode",
    "because UnitFileMissing",
    "because UnitRestored",
    "does load-units",
    "does ensure-image",
    "does prune-images",
    "does remove-config",
    "does remove-unit",
    "does restart for OtherRevision",
    "does restart for Frozen",
    "does run-hook",
    "does start for NotRunning",
    "does stop",
    "does sweep-configs",
    "does write-unit",
    "ends as NotNeeded",
    "ends as Skipped",
    "fails as conflict",
    "fails as denied",
    "fails as invalid",
    "fails as not found",
    "fails as transient",
    "fails as unavailable",
    "waits on BackOff",
    "waits on Conflict",
    "waits on CrashLoop",
    "waits on HookNotReady",
    "waits on Busy",
    "waits on Held",
    "waits on NotLoaded",
    "waits on Observation",
    "waits on Orphan",
    "waits on Running",
    "waits on Stabilizing",
    "waits on Shadowed",
    "waits on UnitRefused",
];

/// The required coverage of the tables.
const TABLES_REACH: &[&str] = &[
    "because Failed",
    "because RevisionUnknown",
    "does remove-container",
    "does reset-failed",
    "waits on Conflict",
    "waits on CrashLoop",
];

fn assert_reached(reached: &BTreeSet<String>, expected: &[&str]) {
    let missing: Vec<_> = expected.iter().filter(|words| !reached.contains(**words)).collect();
    assert!(missing.is_empty(), "not reached: {missing:?}\nreached: {reached:#?}");
}

#[test]
fn every_order_of_calls_faults_and_intents_is_safe_and_terminates() {
    let mut reached = BTreeSet::new();
    for recorded in COMMIT {
        let report = search(&recorded.bounds);
        println!("{}: {report}", recorded.bounds);
        assert_eq!(recorded.compare(&report), Ok(()));
        reached.extend(report.reached);
    }
    assert_reached(&reached, SEARCHES_REACH);
}

fn assert_good(table: &Table, starts: usize) {
    println!("{} starts, at most {} converges", table.starts, table.worst_converges);
    assert_eq!(table.wrong, None);
    assert_eq!(table.starts, starts);
}

#[test]
fn every_single_companion_state_converges_within_three_runs() {
    let (built, pulled) = (singles(0), singles(1));
    assert_good(&built, 41_580);
    assert_good(&pulled, 41_580);
    assert_reached(&(&built.reached | &pulled.reached), TABLES_REACH);
}

#[test]
fn state_of_one_companion_changes_no_decision_for_another() {
    assert_good(&pairs(&Start::classes(), false), 160 * 160);
}
