//! The conformance suites on the adapters that are files: units, rendered configuration, and the desired state with its leader, each case in a
//! directory of its own.

#![expect(clippy::unwrap_used, reason = "a world that cannot be arranged fails its case")]

#[path = "conformance_files/hooks.rs"]
mod hooks;
#[path = "conformance_files/leadership.rs"]
mod leader;
#[path = "conformance_files/modes.rs"]
mod modes;
#[path = "conformance_files/units.rs"]
mod units;
#[path = "conformance_files/wishes.rs"]
mod wishes;

use modes::{absolute, obey_modes, set_mode};

/// Makes a test of each case of a suite, in a new world of `$world`.
macro_rules! on_files {
    ($suite:ident, $world:path, $test:meta, $not_run:expr; $($case:ident,)*) => {
        mod $suite {
            use companion_conformance::{$suite, run};

            $(
                #[$test]
                async fn $case() {
                    let world = $world();
                    assert_eq!(run($suite::CASES, stringify!($case), &world).await, Ok(()));
                }
            )*

            /// All of the suite in one, with the cases that not every world can arrange.
            #[$test]
            async fn every_case_holds_but_for_those_that_are_named() {
                $suite::all(|| async { $world() }).await.assert_held_but_for(&$not_run);
            }
        }
    };
}

macro_rules! units_on_files {
    ($suite:ident: $($case:ident,)*) => {
        on_files! { $suite, crate::units::Units::new, tokio::test, ["a_full_disk_is_a_passing_failure_and_the_old_unit_stands"]; $($case,)* }
    };
}

macro_rules! hooks_on_files {
    ($suite:ident: $($case:ident,)*) => {
        on_files! { $suite, crate::hooks::Hooks::new, tokio::test, ["a_full_disk_is_transient_and_the_earlier_file_stays"]; $($case,)* }
    };
}

macro_rules! wishes_on_files {
    ($suite:ident: $($case:ident,)*) => {
        on_files! { $suite, crate::wishes::Wishes::new, tokio::test(start_paused = true), []; $($case,)* }
    };
}

macro_rules! leadership_on_files {
    ($suite:ident: $($case:ident,)*) => {
        on_files! { $suite, crate::leader::Lock::new, tokio::test, [""; 0]; $($case,)* }
    };
}

companion_conformance::leadership_cases!(leadership_on_files);
companion_conformance::unit_store_cases!(units_on_files);
companion_conformance::hook_runner_cases!(hooks_on_files);
companion_conformance::desired_store_cases!(wishes_on_files);
