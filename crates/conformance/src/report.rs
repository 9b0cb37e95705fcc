//! [`Report`]: what became of the cases of a suite. Runs each to its end, whatever the others do.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use crate::{Arranged, Run, Unarranged};

/// What became of every case of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a report that nobody reads hides what failed and what was not run"]
pub struct Report {
    /// The suite, by the name of its module.
    pub suite: &'static str,
    /// The cases that hold.
    pub held: Vec<&'static str>,
    /// The cases that were not run, and what the world cannot arrange for them.
    pub not_run: Vec<(&'static str, Unarranged)>,
    /// The cases that fail, and with what words.
    pub failed: Vec<(&'static str, String)>,
}

impl Report {
    /// A report of `suite` on nothing yet.
    pub(crate) fn new(suite: &'static str) -> Self {
        Self { suite, held: Vec::new(), not_run: Vec::new(), failed: Vec::new() }
    }

    /// Fails unless no case failed, and those that were not run are exactly `declared`.
    ///
    /// A case that a world cannot arrange so stands by its name in the test that leaves it out.
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
        assert_eq!(not_run, declared, "what was not run is not what was declared\n{self}");
    }

    /// Runs a case and enters what became of it.
    pub(crate) async fn enter(&mut self, name: &'static str, run: Run<'_>) {
        match caught(run).await {
            Ok(Ok(())) => self.held.push(name),
            Ok(Err(lacking)) => self.not_run.push((name, lacking)),
            Err(words) => self.failed.push((name, words)),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, held, not_run, failed } = self;
        let (held, lacking, broken) = (held.len(), not_run.len(), failed.len());
        write!(f, "{suite}: {held} held, {lacking} not run, {broken} failed")?;
        for (name, Unarranged(what)) in not_run {
            write!(f, "\n  not run: {name}: this world has no {what}")?;
        }
        for (name, words) in failed {
            write!(f, "\n  failed: {name}: {words}")?;
        }
        Ok(())
    }
}

/// Runs a case; a panic ends it alone, and gives its words.
async fn caught(mut run: Run<'_>) -> Result<Arranged, String> {
    poll_fn(|context| {
        // The world of a case that panicked is not looked at again.
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
    text.unwrap_or_else(|| "it panicked without words".to_owned())
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
    async fn a_case_that_is_not_run_is_told_and_must_be_declared() {
        let report = reported().await;
        assert!(report.to_string().contains("1 held, 1 not run, 0 failed"), "{report}");
        assert!(report.to_string().contains("it_is_not_run: this world has no moon"), "{report}");
        report.assert_held_but_for(&["it_is_not_run"]);
        let undeclared = catch_unwind(|| report.assert_held_but_for(&[]));
        assert!(undeclared.is_err());
        let too_much = catch_unwind(|| report.assert_held_but_for(&["it_is_not_run", "it_holds"]));
        assert!(too_much.is_err());
    }

    #[tokio::test]
    async fn a_case_that_fails_is_told_and_stops_no_other() {
        let mut report = reported().await;
        report.enter("it_fails", Box::pin(async { panic!("by {}", "design") })).await;
        report.enter("it_holds_too", Box::pin(async { Ok(()) })).await;
        assert_eq!(report.held, ["it_holds", "it_holds_too"]);
        assert_eq!(report.failed, [("it_fails", "by design".to_owned())]);
        assert!(catch_unwind(|| report.assert_held_but_for(&["it_is_not_run"])).is_err());
    }
}
