//! [`Case`]: one sentence of a contract, and how it is run.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::{self, Failure};
use crate::{Arranged, Entry, HostWorld, Options, Outcome, Report, Trait};

/// A running case; returns `Err` when the world cannot arrange its condition, and panics when the contract is
/// violated.
pub type Run<'a> = Pin<Box<dyn Future<Output = Arranged> + Send + 'a>>;

/// A case of a suite for worlds of type `W`.
#[derive(Debug)]
pub struct Case<W: ?Sized> {
    /// States the contract.
    pub name: &'static str,
    /// The traits of a host that the case concerns.
    pub needs: &'static [Trait],
    pub(crate) run: for<'a> fn(&'a W) -> Run<'a>,
}

impl<W: HostWorld + ?Sized> Case<W> {
    /// Runs the case in `world`, unless its host misses a trait that the case needs.
    pub(crate) async fn run(&self, world: &W) -> Outcome {
        let traits = world.traits();
        let missing: Vec<Trait> =
            self.needs.iter().filter(|one| !traits.contains(one)).copied().collect();
        if !missing.is_empty() {
            return Outcome::NotOfThisHost(missing);
        }
        match (self.run)(world).await {
            Ok(()) => Outcome::Held,
            Err(missing) => Outcome::NotArranged(missing),
        }
    }
}

/// What a case returns: nothing, or whether its condition could be arranged.
pub(crate) trait IntoArranged {
    fn into_arranged(self) -> Arranged;
}

impl IntoArranged for () {
    fn into_arranged(self) -> Arranged {
        Ok(())
    }
}

impl IntoArranged for Arranged {
    fn into_arranged(self) -> Arranged {
        self
    }
}

/// Runs those of `cases` that `options` selects with `run`.
pub(crate) async fn check<W: ?Sized>(
    suite: &'static str,
    cases: &[Case<W>],
    options: &Options<'_>,
    run: impl AsyncFn(&Case<W>) -> Outcome,
) -> Report {
    let is_selected = |case: &&Case<W>| options.only.is_none_or(|name| name == case.name);
    let mut entries = Vec::new();
    for case in cases.iter().filter(is_selected) {
        let began = Instant::now();
        let outcome = outcome_of(run(case), options.limit).await;
        let entry = Entry { suite, case: case.name, outcome, took: began.elapsed() };
        (options.on_end)(&entry);
        entries.push(entry);
    }
    if let (Some(name), []) = (options.only, &entries[..]) {
        panic!("`{suite}` has no case `{name}`");
    }
    Report { suite, entries }
}

/// Runs `case` for at most `limit`. A panic and a hang are failures.
async fn outcome_of(case: impl Future<Output = Outcome>, limit: Duration) -> Outcome {
    let hung = |_| {
        Outcome::Failed(Failure {
            place: None,
            reason: format!("it did not end within its time limit of {} s", limit.as_secs()),
        })
    };
    tokio::time::timeout(limit, caught(case)).await.unwrap_or_else(hung)
}

async fn caught(case: impl Future<Output = Outcome>) -> Outcome {
    let mut case = std::pin::pin!(case);
    poll_fn(|context| {
        // The world of a case that panicked is not used again.
        let polled =
            failure::recorded(|| catch_unwind(AssertUnwindSafe(|| case.as_mut().poll(context))));
        match polled {
            Ok(poll) => poll,
            Err(failure) => Poll::Ready(Outcome::Failed(failure)),
        }
    })
    .await
}
