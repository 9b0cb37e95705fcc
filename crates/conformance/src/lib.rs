//! The conformance suites: one for each port of `companion-core`.
//!
//! A suite is independent of the implementation. A *world* provides the port, and changes the host in ways that
//! the port cannot: an unmanaged file, a registry that is down. Each case gets a new world and checks one
//! sentence of the port's contract.
//!
//! # Running a suite
//!
//! One test runs a whole suite with `all` and declares the cases that it skips:
//!
//! ```
//! use std::sync::Arc;
//!
//! use adapter_fake::FakeHost;
//! use async_trait::async_trait;
//! use companion_conformance::container_runtime::{self, ContainerWorld};
//! use companion_core::model::companion::CompanionName;
//! use companion_core::ports::ContainerRuntime;
//!
//! /// A host of the implementation that is tested, here the one in memory.
//! struct MyWorld(FakeHost);
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
//! let report = container_runtime::all(|| async { MyWorld(FakeHost::default()) }).await;
//! // Fails when a case failed, and when others were not run than those that are named here.
//! report.assert_held_but_for(&[
//!     "a_container_that_cannot_be_read_hides_no_other",
//!     "without_a_container_host_reading_is_unavailable",
//! ]);
//! println!("{report}");
//! # }
//! ```
//!
//! One test function for each case comes of the macros of a suite (`container_facts_cases!` and so
//! on), which call a macro of yours with the names of the cases:
//!
//! ```text
//! macro_rules! on_my_host {
//!     ($suite:ident: $($case:ident,)*) => {
//!         mod $suite {
//!             use companion_conformance::{$suite, run};
//!             $(
//!                 #[tokio::test]
//!                 async fn $case() {
//!                     let world = super::MyWorld::new().await;
//!                     assert_eq!(run($suite::CASES, stringify!($case), &world).await, Ok(()));
//!                 }
//!             )*
//!         }
//!     };
//! }
//! companion_conformance::container_facts_cases!(on_my_host);
//! ```
//!
//! # What a world must arrange
//!
//! All methods of the trait without a default body. Every case gets a new world. For conditions that only some
//! hosts can arrange, such as a full disk, the default body returns [`Unarranged`]; a case that needs it is
//! listed by the macro `…_optional_cases!` and in `OPTIONAL`, and is then *reported as not run*. It never
//! counts as held.
//!
//! Waits use tokio's clock, so a simulated world may run with a paused one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a case fails by a panic, as a test does"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::ports::{PortErrorKind, PortResult};

pub mod container_runtime;
pub mod desired_store;
pub mod hook_runner;
pub mod image_provider;
pub mod leadership;
mod report;
pub mod service_manager;
pub mod unit_store;

pub use report::Report;

/// What a world cannot arrange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unarranged(
    /// The condition, such as `a full disk`.
    pub &'static str,
);

/// The result of arranging a condition.
pub type Arranged<T = ()> = Result<T, Unarranged>;

/// A running case; returns `Err` when the world cannot arrange its condition, and panics when the contract is
/// violated.
pub type Run<'a> = Pin<Box<dyn Future<Output = Arranged> + Send + 'a>>;

/// A case: its name, which states the contract, and its check in a world of type `W`.
pub type Case<W> = (&'static str, for<'a> fn(&'a W) -> Run<'a>);

/// Runs the case called `name`.
///
/// # Errors
/// [`Unarranged`] when the world cannot arrange the condition of an optional case: it was not run.
///
/// # Panics
/// When the case fails or does not exist.
pub async fn run<W: ?Sized>(cases: &[Case<W>], name: &str, world: &W) -> Arranged {
    let found = cases.iter().find(|(known, _)| *known == name);
    let (_, case) = found.unwrap_or_else(|| panic!("no case named `{name}`"));
    case(world).await
}

/// Defines the table of the required cases of a suite.
macro_rules! table {
    ($suite:ident, $world:ident: $($case:ident,)*) => {
        /// The required cases of this suite.
        pub const CASES: &[$crate::Case<dyn $world>] = &[$((stringify!($case), |world| {
            Box::pin(async move {
                $case(world).await;
                Ok(())
            })
        }),)*];

        /// Runs every case of this suite sequentially, each in a new world from `new`.
        pub async fn all<W, F>(new: impl Fn() -> F) -> $crate::Report
        where
            W: $world + 'static,
            F: Future<Output = W>,
        {
            let mut report = $crate::Report::new(stringify!($suite));
            for (name, case) in CASES.iter().chain(OPTIONAL) {
                let world = new().await;
                report.enter(name, case(&world)).await;
            }
            report
        }
    };
}
use table;

/// Defines the table of the optional cases of a suite.
macro_rules! optional_table {
    ($suite:ident, $world:ident: $($case:ident,)*) => {
        /// The optional cases of this suite.
        pub const OPTIONAL: &[$crate::Case<dyn $world>] =
            &[$((stringify!($case), |world| Box::pin($case(world))),)*];
    };
}
use optional_table;

/// Polls `look` until it returns a value, for at most a minute.
async fn eventually<'a, T>(what: &str, look: impl Fn() -> Looking<'a, T>) -> T {
    for _ in 0..600 {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("timed out after a minute: {what}");
}

/// A poll of a condition that may not hold yet.
type Looking<'a, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 'a>>;

/// Fails unless `result` is an error of `kind`.
fn refused<T>(result: PortResult<T>, kind: PortErrorKind) {
    match result {
        Ok(_) => panic!("expected error `{kind}`, got success"),
        Err(error) => assert_eq!(error.kind(), kind, "{}", error.chain()),
    }
}

/// Unwraps all entries of a read.
fn all_read<T>(answer: BTreeMap<CompanionName, PortResult<T>>) -> BTreeMap<CompanionName, T> {
    let read = |(name, answer): (CompanionName, PortResult<T>)| match answer {
        Ok(value) => (name, value),
        Err(error) => panic!("failed to read `{name}`: {}", error.chain()),
    };
    answer.into_iter().map(read).collect()
}

/// Fails unless `answer` has exactly `names` and each entry is an error of `kind`.
fn each_refused<T>(
    answer: BTreeMap<CompanionName, PortResult<T>>,
    names: &BTreeSet<CompanionName>,
    kind: PortErrorKind,
) {
    assert!(answer.keys().eq(names));
    answer.into_values().for_each(|entry| refused(entry, kind));
}

/// Starts `call` and drops it at its first await that is pending.
async fn begin_and_drop<T>(call: impl Future<Output = T>) {
    let mut call = std::pin::pin!(call);
    std::future::poll_fn(|context| {
        let _begun = call.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}
