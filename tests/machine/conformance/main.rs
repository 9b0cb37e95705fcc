//! The conformance suites on the real host: systemd, Podman's generator, Podman, and a registry with TLS.
//!
//! Built outside, copied into the throwaway machine and run there with `--test-threads=1`: as archy for the user
//! manager, as root for the system manager. Every case is a test; a test lists the cases that this host cannot set
//! up. `traces::` runs random sequences of calls on this host and on the fake one and compares their states.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a case fails if its world cannot be set up, and figures are printed"
)]

mod containers;
#[path = "../../tests/conformance/fake.rs"]
mod fake;
mod guest;
#[path = "../../tests/conformance_files/hooks.rs"]
mod hooks;
mod images;
#[path = "../../tests/conformance_files/intents.rs"]
mod intents;
#[path = "../../tests/conformance_files/modes.rs"]
mod modes;
#[path = "../suite/random.rs"]
mod random;
mod services;
mod traces;
mod units;

use companion_conformance::worlds::{obey_modes, set_mode};
use modes::absolute;

/// Generates a test for each case of a suite, in a new world of `$world`; it names those that this host cannot set up.
macro_rules! for_real {
    ($suite:ident, $world:path, $test:meta, $not_run:expr; $($case:ident,)*) => {
        mod $suite {
            use companion_conformance::{$suite, Options};

            $(
                #[$test]
                async fn $case() {
                    let on_end = |case: &_| println!("{case}");
                    let one = Options { on_end, ..Options::only(stringify!($case)) };
                    $suite::check(&one, $world).await.assert_held_but_for(&$not_run);
                }
            )*
        }
    };
}

macro_rules! units_for_real {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        for_real! {
            $suite, crate::units::new, tokio::test,
            ["full_disk_is_transient_and_the_old_unit_remains"]; $($case,)*
        }
    };
}

macro_rules! services_for_real {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        for_real! {
            $suite, crate::services::Services::new, tokio::test,
            [
                "a_service_that_cannot_be_read_hides_no_other",
                "without_a_service_manager_every_call_is_unavailable"
            ];
            $($case,)*
        }
    };
}

macro_rules! images_for_real {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        for_real! { $suite, crate::images::Images::new, tokio::test, ["present_image_survives_a_power_loss"]; $($case,)* }
    };
}

macro_rules! containers_for_real {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        for_real! {
            $suite, crate::containers::Containers::new, tokio::test,
            ["a_container_that_cannot_be_read_hides_no_other"]; $($case,)*
        }
    };
}

macro_rules! hooks_for_real {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        for_real! {
            $suite, crate::new_hooks, tokio::test,
            ["a_full_disk_is_transient_and_the_earlier_file_stays"]; $($case,)*
        }
    };
}

macro_rules! intents_for_real {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        for_real! { $suite, crate::new_intents, tokio::test(start_paused = true), [""; 0]; $($case,)* }
    };
}

companion_conformance::unit_store_cases!(units_for_real);
companion_conformance::service_manager_cases!(services_for_real);
companion_conformance::image_provider_cases!(images_for_real);
companion_conformance::container_runtime_cases!(containers_for_real);
companion_conformance::hook_runner_cases!(hooks_for_real);
companion_conformance::desired_store_cases!(intents_for_real);

async fn new_hooks() -> hooks::Hooks {
    hooks::Hooks::new()
}

async fn new_intents() -> intents::Intents {
    intents::Intents::new()
}
