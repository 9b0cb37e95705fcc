//! The conformance suites on the real host: systemd, Podman's generator, Podman, and a registry with TLS.
//!
//! Built outside, copied into the throwaway machine and run there with `--test-threads=1`: as archy for the user
//! manager, as root for the system manager. Every suite is a test, which shows each case when it ends, and lists those
//! that this host cannot set up. `traces::` runs random sequences of calls on this host and on the fake one and compares
//! their states.

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
#[path = "../suite/random.rs"]
mod random;
mod services;
mod traces;
mod units;

/// Generates the test of a suite, in new worlds of `$world`; it names the cases that this host cannot set up.
macro_rules! for_real {
    ($suite:ident, $world:expr, $test:meta, $not_run:expr) => {
        mod $suite {
            use companion_conformance::Options;

            #[$test]
            async fn contract_is_kept() {
                let options = Options { on_end: |case| println!("{case}"), ..Options::default() };
                let report = companion_conformance::$suite::check(&options, $world).await;
                report.assert_held_but_for(&$not_run);
            }
        }
    };
}

for_real!(
    unit_store,
    crate::units::new,
    tokio::test,
    ["full_disk_is_transient_and_the_old_unit_remains"]
);
for_real!(
    service_manager,
    crate::services::Services::new,
    tokio::test,
    [
        "a_service_that_cannot_be_read_hides_no_other",
        "without_a_service_manager_every_call_is_unavailable"
    ]
);
for_real!(
    image_provider,
    crate::images::Images::new,
    tokio::test,
    [
        "image_with_copied_labels_is_never_current_and_is_replaced",
        "lost_image_returns_without_build_or_registry",
        "lost_image_of_an_older_context_returns_while_its_build_fails",
        "lost_pulled_image_returns_without_its_registry",
        "taken_name_returns_to_the_image_without_a_build",
        "archive_that_was_replaced_is_not_restored",
        "archive_of_an_unneeded_image_is_removed",
        "present_image_survives_a_power_loss"
    ]
);
for_real!(
    container_runtime,
    crate::containers::Containers::new,
    tokio::test,
    ["a_container_that_cannot_be_read_hides_no_other"]
);
for_real!(
    hook_runner,
    async || crate::hooks::Hooks::new(),
    tokio::test,
    ["a_full_disk_is_transient_and_the_earlier_file_stays"]
);
for_real!(
    desired_store,
    async || crate::intents::Intents::new(),
    tokio::test(start_paused = true),
    [""; 0]
);
