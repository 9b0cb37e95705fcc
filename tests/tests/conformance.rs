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

/// Generates two tests for each suite; the fake can set up every precondition.
macro_rules! on_the_fake {
    ($($suite:ident),*) => { $(
        mod $suite {
            use companion_conformance::$suite::{CASES, all};

            use super::Fake;

            #[tokio::test(start_paused = true)]
            async fn host_with_all_traits_runs_every_case() {
                let report = all(async || Fake::new()).await;
                let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
                assert_eq!(report.held(), names, "{report}");
            }

            #[tokio::test(start_paused = true)]
            async fn host_without_traits_runs_every_case_that_needs_none() {
                let report = all(async || crate::bare()).await;
                report.assert_held_but_for(&[]);
                let needy = CASES.iter().filter(|case| !case.needs.is_empty());
                let names: Vec<&str> = needy.map(|case| case.name).collect();
                assert_eq!(report.not_of_this_host(), names, "{report}");
            }
        }
    )* };
}

on_the_fake!(
    unit_store,
    service_manager,
    image_provider,
    hook_runner,
    container_runtime,
    desired_store,
    leadership
);
