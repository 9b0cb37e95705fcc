//! What every implementation of a port has to pass: one suite for each port of `companion-core`.
//!
//! A suite knows nothing of an implementation. A *world* gives it the port, and the hands of those
//! who do to the host what the port cannot: a file of someone else's, a registry that is down. Each
//! case gets a world of its own in which nothing has happened, and is one sentence about the port;
//! the promise it checks stands in the prose of the port.
//!
//! # Running a suite
//!
//! One test runs a whole suite with `all`, and says which cases it leaves out:
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
//! All that the methods without a body say, each of them on its own trait. A world is new for every
//! case: what an earlier case left is gone. What only some hosts can arrange, such as a full disk,
//! has a body that answers [`Unarranged`]; a case that needs it is listed by the macro
//! `…_optional_cases!` and in `OPTIONAL`, and is then *reported as not run*. It never counts as held.
//!
//! Waiting is done on tokio's clock, so a world in memory may run with a paused one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a case fails by panicking, as tests do"
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
    /// What it is, such as `a full disk`.
    pub &'static str,
);

/// What a world arranged, or that it cannot.
pub type Arranged<T = ()> = Result<T, Unarranged>;

/// A case that is being run; it ends with `Err` when the world cannot arrange what it is about, and
/// panics when the promise is not kept.
pub type Run<'a> = Pin<Box<dyn Future<Output = Arranged> + Send + 'a>>;

/// A case: its name, which is the promise, and what checks it in a world of type `W`.
pub type Case<W> = (&'static str, for<'a> fn(&'a W) -> Run<'a>);

/// Runs the case called `name`.
///
/// # Errors
/// [`Unarranged`] when the world cannot arrange what an optional case is about: it was not run.
///
/// # Panics
/// When the case fails, or there is none of that name.
pub async fn run<W: ?Sized>(cases: &[Case<W>], name: &str, world: &W) -> Arranged {
    let found = cases.iter().find(|(known, _)| *known == name);
    let (_, case) = found.unwrap_or_else(|| panic!("there is no case `{name}`"));
    case(world).await
}

/// Makes the table of the cases of a suite that every world can arrange.
macro_rules! table {
    ($suite:ident, $world:ident: $($case:ident,)*) => {
        /// The cases of this suite that every world can arrange.
        pub const CASES: &[$crate::Case<dyn $world>] = &[$((stringify!($case), |world| {
            Box::pin(async move {
                $case(world).await;
                Ok(())
            })
        }),)*];

        /// Runs every case of this suite in a world of its own, which `new` makes, one after another.
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

/// Makes the table of the cases of a suite that not every world can arrange.
macro_rules! optional_table {
    ($suite:ident, $world:ident: $($case:ident,)*) => {
        /// The cases of this suite that not every world can arrange.
        pub const OPTIONAL: &[$crate::Case<dyn $world>] =
            &[$((stringify!($case), |world| Box::pin($case(world))),)*];
    };
}
use optional_table;

/// Looks again and again until `look` says yes, for a minute at most.
async fn eventually<'a, T>(what: &str, look: impl Fn() -> Looking<'a, T>) -> T {
    for _ in 0..600 {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within a minute: {what}");
}

/// A look at something that may not have happened yet.
type Looking<'a, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 'a>>;

/// Fails unless `result` is an error of `kind`.
fn refused<T>(result: PortResult<T>, kind: PortErrorKind) {
    match result {
        Ok(_) => panic!("it succeeded, and should have been {kind}"),
        Err(error) => assert_eq!(error.kind(), kind, "{}", error.chain()),
    }
}

/// The answer of a read about several names, none of which may have failed.
fn all_read<T>(answer: BTreeMap<CompanionName, PortResult<T>>) -> BTreeMap<CompanionName, T> {
    let read = |(name, answer): (CompanionName, PortResult<T>)| match answer {
        Ok(value) => (name, value),
        Err(error) => panic!("`{name}` was not read: {}", error.chain()),
    };
    answer.into_iter().map(read).collect()
}

/// Fails unless `answer` has the `names` and each is an error of `kind`.
fn each_refused<T>(
    answer: BTreeMap<CompanionName, PortResult<T>>,
    names: &BTreeSet<CompanionName>,
    kind: PortErrorKind,
) {
    assert!(answer.keys().eq(names));
    answer.into_values().for_each(|entry| refused(entry, kind));
}

/// Begins `call` and drops it at the first moment at which it waits for anything.
async fn begin_and_drop<T>(call: impl Future<Output = T>) {
    let mut call = std::pin::pin!(call);
    std::future::poll_fn(|context| {
        let _begun = call.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}
