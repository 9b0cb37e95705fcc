//! The conformance suites on the file adapters (units, rendered configuration, desired state and leadership), each
//! case in a separate directory.

#![expect(clippy::unwrap_used, reason = "a case fails if its world cannot be set up")]

#[path = "conformance_files/hooks.rs"]
mod hooks;
#[path = "conformance_files/intents.rs"]
mod intents;
#[path = "conformance_files/leadership.rs"]
mod leader;
#[path = "conformance_files/modes.rs"]
mod modes;
#[path = "conformance_files/units.rs"]
mod units;

use companion_conformance::worlds::{obey_modes, set_mode};
use modes::absolute;

/// Generates a module with a test for each case of a suite, in a new world of `$world`.
macro_rules! on_files {
    ($suite:ident as $module:ident, $world:path, $test:meta, $not_run:expr; $($case:ident,)*) => {
        mod $module {
            use companion_conformance::{$suite, Options};

            $(
                #[$test]
                async fn $case() {
                    let one = Options::only(stringify!($case));
                    $suite::check(&one, async || $world()).await.assert_held_but_for(&$not_run);
                }
            )*

            /// Runs the whole suite, including the cases that some worlds cannot set up.
            #[$test]
            async fn every_case_passes_except_the_listed_ones() {
                $suite::all(async || $world()).await.assert_held_but_for(&$not_run);
            }
        }
    };
}

macro_rules! units_on_files {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        on_files! { $suite as unit_store, crate::units::quadlet, tokio::test, ["full_disk_is_transient_and_the_old_unit_remains"]; $($case,)* }
    };
}

macro_rules! json_units_on_files {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        on_files! { $suite as json_unit_store, crate::units::json, tokio::test, ["a_drop_in_beside_a_unit_is_named_and_changes_nothing_else", "a_name_taken_elsewhere_is_unmanaged_where_a_unit_is_expected", "a_written_unit_whose_name_is_taken_elsewhere_stays_ours", "full_disk_is_transient_and_the_old_unit_remains"]; $($case,)* }
    };
}

macro_rules! hooks_on_files {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        on_files! { $suite as hook_runner, crate::hooks::Hooks::new, tokio::test, ["a_full_disk_is_transient_and_the_earlier_file_stays"]; $($case,)* }
    };
}

macro_rules! intents_on_files {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        on_files! { $suite as desired_store, crate::intents::Intents::new, tokio::test(start_paused = true), [""; 0]; $($case,)* }
    };
}

macro_rules! leadership_on_files {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        on_files! { $suite as leadership, crate::leader::Lock::new, tokio::test, [""; 0]; $($case,)* }
    };
}

companion_conformance::leadership_cases!(leadership_on_files);
companion_conformance::unit_store_cases!(units_on_files);
companion_conformance::unit_store_cases!(json_units_on_files);
companion_conformance::hook_runner_cases!(hooks_on_files);
companion_conformance::desired_store_cases!(intents_on_files);
