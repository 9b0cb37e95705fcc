//! The conformance suites on the fake host, each case with a paused clock.

#![expect(clippy::unwrap_used, reason = "a world that cannot be arranged fails its case")]

#[path = "conformance/fake.rs"]
mod fake;

use fake::Fake;

/// Makes a test of each case of a suite: the fake arranges all that each needs.
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

            /// All of the suite in one, with the cases that not every world can arrange.
            #[tokio::test(start_paused = true)]
            async fn every_case_holds_but_for_those_that_are_named() {
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
