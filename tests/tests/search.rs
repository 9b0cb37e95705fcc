//! The exhaustive searches of every commit: within their bounds, no order of calls, failing calls, faults and intents
//! violates an invariant, and an undisturbed host converges from every state.

#![expect(clippy::print_stdout, reason = "the test prints the result of the search")]

use std::collections::BTreeSet;

use companion_tests::search::breadth::{COMMIT, search};
use companion_tests::search::tables::{Start, Table, pairs, singles};

/// The required coverage: every reason, wait, step, end and kind of error that the moves can cause.
const SEARCHES_REACH: &[(&str, &str)] = &[
    (
        "because",
        "ConfigChanged, ConfigReadableByOthers, ConfigMissing, ConfigRestored, ConfigUnlinked, \
         ConfigWritableByOthers, ContextChanged, ImageChanged, ImageMissing, LoadedUnitStale, NotRunning, Frozen, \
         Removed, RendererChanged, SpecChanged, Superseded, UnitFileDrifted, UnitFileWrongMode, UnitFileMissing, \
         UnitRestored",
    ),
    (
        "does",
        "load-units, ensure-image, prune-images, remove-config, remove-unit, restart for OtherRevision, \
         restart for Frozen, run-hook, start for NotRunning, stop, sweep-configs, write-unit",
    ),
    ("ends as", "NotNeeded, Skipped"),
    ("fails as", "conflict, denied, invalid, not found, transient, unavailable"),
    (
        "waits on",
        "BackOff, Conflict, CrashLoop, HookNotReady, Busy, Held, NotLoaded, Observation, Orphan, Running, \
         Stabilizing, Shadowed, UnitRefused",
    ),
];

/// The required coverage of the tables.
const TABLES_REACH: &[(&str, &str)] = &[
    ("because", "Failed, RevisionUnknown"),
    ("does", "remove-container, reset-failed"),
    ("waits on", "Conflict, CrashLoop"),
];

fn assert_reached(reached: &BTreeSet<String>, expected: &[(&str, &str)]) {
    let expected = expected
        .iter()
        .flat_map(|(kind, goals)| goals.split(", ").map(move |goal| format!("{kind} {goal}")));
    let missing: Vec<_> = expected.filter(|goal| !reached.contains(goal)).collect();
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
