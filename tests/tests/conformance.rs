//! The conformance suites on the fake host, each case with a paused clock.

#![expect(clippy::unwrap_used, reason = "a case fails if its world cannot be set up")]

#[path = "conformance/fake.rs"]
mod fake;

use fake::Fake;

/// Generates a test for each case of a suite; the fake can set up every precondition.
macro_rules! on_the_fake {
    ($suite:ident: $($case:ident,)*) => {
        mod $suite {
            use companion_conformance::{$suite, run};

            $(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    let world = super::Fake::new();
                    assert_eq!(run($suite::CASES, stringify!($case), &world).await, Ok(()));
                }
            )*

            /// Runs the whole suite, including the cases that some worlds cannot set up.
            #[tokio::test(start_paused = true)]
            async fn every_case_passes_except_the_listed_ones() {
                let report = $suite::all(|| async { super::Fake::new() }).await;
                report.assert_held_but_for(&[]);
            }
        }
    };
}

companion_conformance::unit_store_cases!(on_the_fake);
companion_conformance::service_manager_cases!(on_the_fake);
companion_conformance::image_provider_cases!(on_the_fake);
companion_conformance::hook_runner_cases!(on_the_fake);
companion_conformance::container_facts_cases!(on_the_fake);
companion_conformance::desired_store_cases!(on_the_fake);
companion_conformance::leadership_cases!(on_the_fake);
