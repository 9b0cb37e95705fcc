//! [`Report`]: the outcomes of the cases of a suite, and [`Options`], how they are run.

use std::fmt;
use std::time::Duration;

use crate::{Failure, Trait, Unarranged};

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The host keeps the contract.
    Held,
    /// The case concerns hosts with these traits, which this one does not have.
    NotOfThisHost(Vec<Trait>),
    /// The world cannot arrange the condition of the case.
    NotArranged(Unarranged),
    /// The host violates the contract.
    Failed(Failure),
}

/// A case that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its suite.
    pub suite: &'static str,
    /// Its name.
    pub case: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took, by tokio's clock.
    pub took: Duration,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, case, outcome, took } = self;
        match outcome {
            Outcome::Held => write!(f, "held: {suite}::{case} ({:.1} s)", took.as_secs_f32()),
            Outcome::NotOfThisHost(missing) => {
                write!(f, "not of this host: {suite}::{case}: needs {missing:?}")
            }
            Outcome::NotArranged(Unarranged(what)) => {
                write!(f, "not run: {suite}::{case}: this world cannot arrange: {what}")
            }
            Outcome::Failed(failure) => {
                write!(f, "failed: {suite}::{case} ({:.1} s)\n    {failure}", took.as_secs_f32())
            }
        }
    }
}

/// How a suite is run.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Runs the case of this name only.
    pub only: Option<&'a str>,
    /// The time limit of each case, by tokio's clock. A case that reaches it failed.
    pub limit: Duration,
    /// Called with each case when it ended.
    pub on_end: fn(&Entry),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { only: None, limit: Duration::from_secs(180), on_end: |_| {} }
    }
}

impl<'a> Options<'a> {
    /// Runs one case by its name.
    pub fn only(case: &'a str) -> Self {
        Self { only: Some(case), ..Self::default() }
    }
}

/// The outcomes of the cases of a suite, all or the selected one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the report contains the failed cases"]
pub struct Report {
    /// The module name of the suite.
    pub suite: &'static str,
    /// The cases that ended, in order.
    pub entries: Vec<Entry>,
}

impl Report {
    /// Fails unless no case failed, and those that could not be arranged are exactly `declared`: so a test names every
    /// case that its world cannot arrange. Of one selected case, only its own name counts.
    ///
    /// Cases that are not of this host need no declaration: [`HostWorld::traits`](crate::HostWorld) is one.
    ///
    /// # Panics
    /// With the whole report.
    #[track_caller]
    pub fn assert_held_but_for(&self, declared: &[&str]) {
        assert!(self.failed().is_empty(), "{self}");
        let is_declared = |entry: &Entry| declared.contains(&entry.case);
        for entry in &self.entries {
            let not_arranged = matches!(entry.outcome, Outcome::NotArranged(_));
            assert!(
                not_arranged == is_declared(entry),
                "`{}` must be declared exactly if it cannot be arranged\n{self}",
                entry.case
            );
        }
        let names = self.names(|_| true);
        let unknown = declared.iter().find(|name| !names.contains(name));
        let is_whole = self.entries.len() != 1;
        assert!(unknown.is_none() || !is_whole, "there is no case `{}`", unknown.unwrap_or(&""));
    }

    /// Returns the names of the cases that held.
    pub fn held(&self) -> Vec<&'static str> {
        self.names(|outcome| *outcome == Outcome::Held)
    }

    /// Returns the names of the cases that need a trait that the host does not have.
    pub fn not_of_this_host(&self) -> Vec<&'static str> {
        self.names(|outcome| matches!(outcome, Outcome::NotOfThisHost(_)))
    }

    /// Returns the names of the cases that the world could not arrange.
    pub fn not_arranged(&self) -> Vec<&'static str> {
        self.names(|outcome| matches!(outcome, Outcome::NotArranged(_)))
    }

    /// Returns the names of the cases that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        self.names(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    fn names(&self, is: impl Fn(&Outcome) -> bool) -> Vec<&'static str> {
        let entries = self.entries.iter().filter(|entry| is(&entry.outcome));
        entries.map(|entry| entry.case).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [self.held(), self.not_of_this_host(), self.not_arranged(), self.failed()];
        let [held, not_of, not_run, failed] = numbers.map(|names| names.len());
        let suite = self.suite;
        write!(
            f,
            "{suite}: {held} held, {failed} failed, {not_run} not run, {not_of} not of this host"
        )?;
        for entry in self.entries.iter().filter(|entry| entry.outcome != Outcome::Held) {
            write!(f, "\n  {entry}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::panic::catch_unwind;

    use super::*;
    use crate::{Arranged, HostWorld};

    /// A host without any trait.
    struct Bare;

    impl HostWorld for Bare {
        fn traits(&self) -> BTreeSet<Trait> {
            BTreeSet::new()
        }
    }

    /// A suite as a macro defines it.
    mod suite {
        use super::{Arranged, Bare, Trait, Unarranged};
        use crate::Case;

        pub(super) const CASES: &[Case<Bare>] = &[
            Case { name: "it_holds", needs: &[], run: |_| Box::pin(async { Ok(()) }) },
            Case { name: "it_needs", needs: &[Trait::Holds], run: |_| Box::pin(async { Ok(()) }) },
            Case { name: "it_is_not_run", needs: &[], run: |_| Box::pin(not_run()) },
            Case {
                name: "it_fails",
                needs: &[],
                run: |_| Box::pin(async { panic!("by {}", "design") }),
            },
            Case { name: "it_hangs", needs: &[], run: |_| Box::pin(std::future::pending()) },
            Case { name: "it_holds_too", needs: &[], run: |_| Box::pin(async { Ok(()) }) },
        ];

        async fn not_run() -> Arranged {
            Err(Unarranged("moon"))
        }
    }

    async fn checked(only: Option<&str>) -> Report {
        let options = Options { only, ..Options::default() };
        let run = async |case: &crate::Case<Bare>| case.run(&Bare).await;
        crate::case::check("things", suite::CASES, &options, run).await
    }

    #[tokio::test(start_paused = true)]
    async fn each_case_is_reported_and_stops_no_other() {
        let report = checked(None).await;
        assert_eq!(report.held(), ["it_holds", "it_holds_too"]);
        assert_eq!(report.not_of_this_host(), ["it_needs"]);
        assert_eq!(report.not_arranged(), ["it_is_not_run"]);
        assert_eq!(report.failed(), ["it_fails", "it_hangs"]);
        let text = report.to_string();
        let counts = "2 held, 2 failed, 1 not run, 1 not of this host";
        assert!(
            text.contains(counts) && text.contains("this world cannot arrange: moon"),
            "{text}"
        );
        assert!(text.contains("it_needs: needs [Holds]"), "{text}");
        assert!(catch_unwind(|| report.assert_held_but_for(&["it_is_not_run"])).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn failure_has_a_place_and_a_reason_and_a_hang_its_limit() {
        let failed = checked(Some("it_fails")).await.to_string();
        assert!(failed.contains("report.rs:") && failed.contains("by design"), "{failed}");
        let hung = checked(Some("it_hangs")).await.to_string();
        assert!(hung.contains("time limit of 180 s"), "{hung}");
    }

    #[tokio::test(start_paused = true)]
    async fn case_that_cannot_be_arranged_must_be_declared() {
        let report = checked(Some("it_is_not_run")).await;
        report.assert_held_but_for(&["it_is_not_run"]);
        assert!(catch_unwind(|| report.assert_held_but_for(&[])).is_err());
        let held = checked(Some("it_holds")).await;
        held.assert_held_but_for(&["it_is_not_run"]);
        assert!(catch_unwind(|| held.assert_held_but_for(&["it_holds"])).is_err());
    }
}
