//! The conformance suites: one for each port of `companion-core`, as a gate for anyone's host.
//!
//! A suite is independent of the implementation. A *world* provides the port, and changes the host in ways that
//! the port cannot: an unmanaged file, a registry that is down. Each case gets a new world and checks one
//! sentence of the port's contract. The README leads from zero to a green run.
//!
//! # Running a suite
//!
//! ```
//! use std::sync::Arc;
//!
//! use adapter_fake::FakeHost;
//! use async_trait::async_trait;
//! use companion_conformance::container_runtime::{self, ContainerWorld};
//! use companion_conformance::{HostWorld, Options};
//! use companion_core::model::companion::CompanionName;
//! use companion_core::ports::ContainerRuntime;
//!
//! /// A host of the implementation that is tested, here the one in memory.
//! struct MyWorld(FakeHost);
//!
//! /// The traits of the host: all, unless `traits` says otherwise.
//! impl HostWorld for MyWorld {}
//!
//! #[async_trait]
//! impl ContainerWorld for MyWorld {
//!     fn containers(&self) -> Arc<dyn ContainerRuntime> {
//!         Arc::new(self.0.clone())
//!     }
//!     fn name(&self, number: u8) -> CompanionName {
//!         CompanionName::new(format!("companion-{number}")).expect("it is a name")
//!     }
//!     async fn run_ours(&self, name: &CompanionName) {
//!         self.0.run_container(name);
//!     }
//!     async fn leave_ours(&self, name: &CompanionName) {
//!         self.0.leave_container(name);
//!     }
//!     async fn run_unmanaged(&self, name: &CompanionName) {
//!         self.0.put_unmanaged_container(name);
//!     }
//!     async fn pause(&self, name: &CompanionName) {
//!         self.0.pause_container(name);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // In a test: `#[tokio::test] async fn my_containers_conform() { … }`.
//! let options = Options { on_end: |case| println!("{case}"), ..Options::default() };
//! let report = container_runtime::check(&options, || async { MyWorld(FakeHost::default()) }).await;
//! // Fails when a case failed, and when others could not be arranged than those that are named here.
//! report.assert_held_but_for(&[
//!     "a_container_that_cannot_be_read_hides_no_other",
//!     "without_a_container_host_reading_is_unavailable",
//! ]);
//! // One case.
//! let options = Options::only("an_unmanaged_container_is_never_removed");
//! let report = container_runtime::check(&options, || async { MyWorld(FakeHost::default()) }).await;
//! assert_eq!(report.held(), ["an_unmanaged_container_is_never_removed"]);
//! # }
//! ```
//!
//! # What a world must arrange
//!
//! All methods of the trait without a default body. For conditions that only some hosts can arrange, such as a full
//! disk or a hold, the default body returns [`Unarranged`]; a case that needs it is *reported as not run*. It never
//! counts as held. A case that needs a [`Trait`] which the host does not have is *not of this host*.
//!
//! Waits use tokio's clock, so a simulated world may run with a paused one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a case fails by a panic, as a test does"
)]

pub mod container_runtime;
pub mod desired_store;
pub mod hook_runner;
pub mod image_provider;
pub mod leadership;
pub mod service_manager;
pub mod unit_store;
#[cfg(feature = "worlds")]
pub mod worlds;

mod assertions;
mod case;
mod failure;
mod report;
mod traits;

pub use case::{Case, Run};
pub use failure::Failure;
pub use report::{Entry, Options, Outcome, Report};
pub use traits::{HostWorld, Trait};

/// What a world cannot arrange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unarranged(
    /// The condition, such as `full disk`.
    pub &'static str,
);

/// The result of arranging a condition.
pub type Arranged<T = ()> = Result<T, Unarranged>;

/// Defines the table of the cases of a suite, and how they are run.
macro_rules! suite {
    ($suite:ident, $world:ident: $($case:ident $([$($need:ident),*])?,)*) => {
        /// The cases of this suite.
        pub const CASES: &[$crate::Case<dyn $world>] = &[$($crate::Case {
            name: stringify!($case),
            needs: &[$($($crate::Trait::$need),*)?],
            run: |world| Box::pin(async move {
                $crate::case::IntoArranged::into_arranged($case(world).await)
            }),
        }),*];

        /// Runs every case of this suite sequentially, each in a new world from `new`.
        pub async fn all<W, F>(new: impl Fn() -> F) -> $crate::Report
        where
            W: $world + 'static,
            F: Future<Output = W>,
        {
            check(&$crate::Options::default(), new).await
        }

        /// Runs the cases of this suite that `options` selects sequentially, each in a new world from `new`.
        ///
        /// # Panics
        /// When no case has the selected name.
        pub async fn check<W, F>(options: &$crate::Options<'_>, new: impl Fn() -> F) -> $crate::Report
        where
            W: $world + 'static,
            F: Future<Output = W>,
        {
            let run = async |case: &$crate::Case<dyn $world>| {
                let world = new().await;
                case.run(&world as &dyn $world).await
            };
            $crate::case::check(stringify!($suite), CASES, options, run).await
        }
    };
}
use suite;
