//! The conformance suites on the fake host, each case with a paused clock: on a host with all traits and on one without
//! any.

#![expect(clippy::unwrap_used, reason = "a case fails if its world cannot be set up")]

#[path = "conformance/fake.rs"]
mod fake;

use std::collections::BTreeSet;

use adapter_fake::{FakeHost, World};
use fake::Fake;

/// A host without any trait.
fn bare() -> Fake {
    Fake::on(FakeHost::new(World::without_traits()), BTreeSet::new())
}

/// Generates a test for each case of a suite; the fake has all traits and can set up every precondition.
macro_rules! on_the_fake {
    ($suite:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        mod $suite {
            use companion_conformance::{$suite, Options};

            use super::Fake;

            $(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    let one = Options::only(stringify!($case));
                    $suite::check(&one, async || Fake::new()).await.assert_held_but_for(&[]);
                }
            )*

            #[tokio::test(start_paused = true)]
            async fn host_with_all_traits_runs_every_case() {
                let report = $suite::all(async || Fake::new()).await;
                let names: Vec<&str> = $suite::CASES.iter().map(|case| case.name).collect();
                assert_eq!(report.held(), names, "{report}");
            }

            #[tokio::test(start_paused = true)]
            async fn host_without_traits_runs_every_case_that_needs_none() {
                let report = $suite::all(async || crate::bare()).await;
                report.assert_held_but_for(&[]);
                let needy = $suite::CASES.iter().filter(|case| !case.needs.is_empty());
                let names: Vec<&str> = needy.map(|case| case.name).collect();
                assert_eq!(report.not_of_this_host(), names, "{report}");
            }
        }
    };
}

companion_conformance::unit_store_cases!(on_the_fake);
companion_conformance::service_manager_cases!(on_the_fake);
companion_conformance::image_provider_cases!(on_the_fake);
companion_conformance::hook_runner_cases!(on_the_fake);
companion_conformance::container_runtime_cases!(on_the_fake);
companion_conformance::desired_store_cases!(on_the_fake);
companion_conformance::leadership_cases!(on_the_fake);
