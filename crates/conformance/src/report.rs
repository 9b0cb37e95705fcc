//! [`Report`]: the results of the cases of a suite. Runs all cases, even after a failure.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use crate::{Arranged, Run, Unarranged};

/// The results of all cases of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the report contains the failed and skipped cases"]
pub struct Report {
    /// The module name of the suite.
    pub suite: &'static str,
    /// The cases that passed.
    pub held: Vec<&'static str>,
    /// The cases that were not run, and the missing condition.
    pub not_run: Vec<(&'static str, Unarranged)>,
    /// The failed cases with their messages.
    pub failed: Vec<(&'static str, String)>,
}

impl Report {
    /// Returns an empty report of `suite`.
    pub(crate) fn new(suite: &'static str) -> Self {
        Self { suite, held: Vec::new(), not_run: Vec::new(), failed: Vec::new() }
    }

    /// Fails unless no case failed, and those that were not run are exactly `declared`.
    ///
    /// So a test names every case that its world cannot arrange.
    ///
    /// # Panics
    /// With the whole report.
    #[track_caller]
    pub fn assert_held_but_for(&self, declared: &[&str]) {
        assert!(self.failed.is_empty(), "{self}");
        let mut not_run: Vec<&str> = self.not_run.iter().map(|(name, _)| *name).collect();
        let mut declared = declared.to_vec();
        not_run.sort_unstable();
        declared.sort_unstable();
        assert_eq!(
            not_run, declared,
            "cases that were not run differ from the declared ones\n{self}"
        );
    }

    /// Runs a case and records its result.
    pub(crate) async fn enter(&mut self, name: &'static str, run: Run<'_>) {
        match caught(run).await {
            Ok(Ok(())) => self.held.push(name),
            Ok(Err(missing)) => self.not_run.push((name, missing)),
            Err(words) => self.failed.push((name, words)),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, held, not_run, failed } = self;
        let (held, skipped, broken) = (held.len(), not_run.len(), failed.len());
        write!(f, "{suite}: {held} held, {skipped} not run, {broken} failed")?;
        for (name, Unarranged(what)) in not_run {
            write!(f, "\n  not run: {name}: this world cannot arrange: {what}")?;
        }
        for (name, words) in failed {
            write!(f, "\n  failed: {name}: {words}")?;
        }
        Ok(())
    }
}

/// Runs a case; returns the message of a panic.
async fn caught(mut run: Run<'_>) -> Result<Arranged, String> {
    poll_fn(|context| {
        // The world of a case that panicked is not used again.
        let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(arranged)) => Poll::Ready(Ok(arranged)),
            Err(payload) => Poll::Ready(Err(words(&*payload))),
        }
    })
    .await
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panicked without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reported() -> Report {
        let mut report = Report::new("things");
        report.enter("it_holds", Box::pin(async { Ok(()) })).await;
        report.enter("it_is_not_run", Box::pin(async { Err(Unarranged("moon")) })).await;
        report
    }

    #[tokio::test]
    async fn skipped_case_is_reported_and_must_be_declared() {
        let report = reported().await;
        assert!(report.to_string().contains("1 held, 1 not run, 0 failed"), "{report}");
        assert!(
            report.to_string().contains("it_is_not_run: this world cannot arrange: moon"),
            "{report}"
        );
        report.assert_held_but_for(&["it_is_not_run"]);
        let undeclared = catch_unwind(|| report.assert_held_but_for(&[]));
        assert!(undeclared.is_err());
        let too_much = catch_unwind(|| report.assert_held_but_for(&["it_is_not_run", "it_holds"]));
        assert!(too_much.is_err());
    }

    #[tokio::test]
    async fn failed_case_is_reported_and_stops_no_other() {
        let mut report = reported().await;
        report.enter("it_fails", Box::pin(async { panic!("by {}", "design") })).await;
        report.enter("it_holds_too", Box::pin(async { Ok(()) })).await;
        assert_eq!(report.held, ["it_holds", "it_holds_too"]);
        assert_eq!(report.failed, [("it_fails", "by design".to_owned())]);
        assert!(catch_unwind(|| report.assert_held_but_for(&["it_is_not_run"])).is_err());
    }
}
