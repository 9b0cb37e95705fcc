//! The conformance suites on the file adapters (units, rendered configuration, desired state and leadership), each
//! case in a separate directory.

#![expect(clippy::unwrap_used, reason = "a case fails if its world cannot be set up")]

#[path = "conformance_files/hooks.rs"]
mod hooks;
#[path = "conformance_files/intents.rs"]
mod intents;
#[path = "conformance_files/leadership.rs"]
mod leader;
#[path = "conformance_files/units.rs"]
mod units;

use companion_conformance::{desired_store, hook_runner, leadership, unit_store};

#[tokio::test]
async fn quadlet_units_keep_the_contract_of_the_unit_store() {
    let report = unit_store::all(async || units::quadlet()).await;
    report.assert_held_but_for(&["full_disk_is_transient_and_the_old_unit_remains"]);
}

#[tokio::test]
async fn json_units_keep_the_contract_of_the_unit_store() {
    let report = unit_store::all(async || units::json()).await;
    report.assert_held_but_for(&[
        "a_drop_in_of_a_unit_is_named_and_changes_nothing_else",
        "a_name_taken_elsewhere_is_unmanaged_where_a_unit_is_expected",
        "a_written_unit_whose_name_is_taken_elsewhere_stays_ours",
        "full_disk_is_transient_and_the_old_unit_remains",
    ]);
}

#[tokio::test]
async fn file_hooks_keep_the_contract_of_the_hook_runner() {
    let report = hook_runner::all(async || hooks::Hooks::new()).await;
    report.assert_held_but_for(&["a_full_disk_is_transient_and_the_earlier_file_stays"]);
}

#[tokio::test(start_paused = true)]
async fn recorded_intents_keep_the_contract_of_the_desired_store() {
    desired_store::all(async || intents::Intents::new()).await.assert_held_but_for(&[]);
}

#[tokio::test]
async fn leader_lock_keeps_the_contract_of_leadership() {
    leadership::all(async || leader::Lock::new()).await.assert_held_but_for(&[]);
}
