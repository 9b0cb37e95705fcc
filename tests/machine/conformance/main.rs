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
mod registry;
mod services;
mod traces;
mod units;

use modes::{absolute, obey_modes, set_mode};

/// Generates a test for each case of a suite, in a new world of `$world`, and one for those that some worlds cannot
/// set up.
macro_rules! for_real {
    ($suite:ident, $world:path, $test:meta, $not_run:expr; $($case:ident,)*) => {
        mod $suite {
            use companion_conformance::{$suite, run};

            $(
                #[$test]
                async fn $case() {
                    let world = $world().await;
                    assert_eq!(run($suite::CASES, stringify!($case), &world).await, Ok(()));
                }
            )*

            #[$test]
            async fn of_the_others_those_that_are_named_were_not_run() {
                let mut not_run = Vec::new();
                for (name, case) in $suite::OPTIONAL {
                    let world = $world().await;
                    match case(&world).await {
                        Ok(()) => println!("held: {name}"),
                        Err(lacking) => not_run.push((*name, lacking.0)),
                    }
                }
                println!("not run: {not_run:?}");
                let names: Vec<&str> = not_run.into_iter().map(|(name, _)| name).collect();
                assert_eq!(names, $not_run);
            }
        }
    };
}

macro_rules! units_for_real {
    ($suite:ident: $($case:ident,)*) => {
        for_real! {
            $suite, crate::units::Units::new, tokio::test,
            ["full_disk_is_transient_and_the_old_unit_remains"]; $($case,)*
        }
    };
}

macro_rules! services_for_real {
    ($suite:ident: $($case:ident,)*) => {
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
    ($suite:ident: $($case:ident,)*) => {
        for_real! { $suite, crate::images::Images::new, tokio::test, ["present_image_survives_a_power_loss"]; $($case,)* }
    };
}

macro_rules! containers_for_real {
    ($suite:ident: $($case:ident,)*) => {
        for_real! {
            $suite, crate::containers::Containers::new, tokio::test,
            ["a_container_that_cannot_be_read_hides_no_other"]; $($case,)*
        }
    };
}

macro_rules! hooks_for_real {
    ($suite:ident: $($case:ident,)*) => {
        for_real! {
            $suite, crate::new_hooks, tokio::test,
            ["a_full_disk_is_a_passing_failure_and_the_earlier_file_stands"]; $($case,)*
        }
    };
}

macro_rules! intents_for_real {
    ($suite:ident: $($case:ident,)*) => {
        for_real! { $suite, crate::new_intents, tokio::test(start_paused = true), [""; 0]; $($case,)* }
    };
}

companion_conformance::unit_store_cases!(units_for_real);
companion_conformance::service_manager_cases!(services_for_real);
companion_conformance::image_provider_cases!(images_for_real);
companion_conformance::container_facts_cases!(containers_for_real);
companion_conformance::hook_runner_cases!(hooks_for_real);
companion_conformance::desired_store_cases!(intents_for_real);

async fn new_hooks() -> hooks::Hooks {
    hooks::Hooks::new()
}

async fn new_intents() -> intents::Intents {
    intents::Intents::new()
}
