//! Contract suites: what a port promises, as cases that every implementation has to pass.
//!
//! One suite for each port. A suite knows nothing of an implementation: a *world* gives it the port
//! and the means to arrange what the port cannot (a file of someone else's, a registry that is
//! down). Each case gets a world of its own in which nothing has happened, and is one sentence about
//! the port.
//!
//! The same list of cases makes the table [`Case`]s are run from and, by the macro of the suite's
//! name (`unit_store_cases!` and so on), one test function for each.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a case fails by panicking, as tests do"
)]

use std::pin::Pin;
use std::time::Duration;

use companion_core::ports::{PortErrorKind, PortResult};

pub mod container_facts;
pub mod desired_store;
pub mod hook_runner;
pub mod image_provider;
pub mod service_manager;
pub mod unit_store;

/// A case that is being run.
pub type Run<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A case: its name, which is the promise, and what checks it in a world of type `W`.
pub type Case<W> = (&'static str, for<'a> fn(&'a W) -> Run<'a>);

/// Runs the case called `name`.
///
/// # Panics
/// When the case fails, or there is none of that name.
pub async fn run<W: ?Sized>(cases: &[Case<W>], name: &str, world: &W) {
    let found = cases.iter().find(|(known, _)| *known == name);
    let (_, case) = found.unwrap_or_else(|| panic!("there is no case `{name}`"));
    case(world).await;
}

/// Makes the table of a suite's cases.
macro_rules! table {
    ($suite:ident, $world:ty: $($case:ident,)*) => {
        /// The cases of this suite.
        pub const CASES: &[$crate::Case<$world>] =
            &[$((stringify!($case), |world| Box::pin($case(world))),)*];
    };
}
use table;

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
