//! What is remembered of attempts: how often each failed, and until when it is held back.

use std::collections::BTreeMap;

use super::tasks::{End, TaskKey};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::observed::{Failure, Work};
use crate::model::revision::Fingerprint;
use crate::plan::Plan;
use crate::planner::backoff;
use crate::ports::PortErrorKind;

/// The failures that hold work back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Attempts {
    pub(super) failures: BTreeMap<CompanionName, BTreeMap<Work, Failure>>,
}

impl Attempts {
    /// Counts an attempt when it begins: only a later reconcile that reads its success takes it back.
    pub(super) fn begin(
        &mut self,
        name: &CompanionName,
        work: Work,
        input: Fingerprint,
        now: Monotonic,
        jitter: u16,
    ) {
        let failures = self.failures.entry(name.clone()).or_default();
        let before = failures.get(&work).filter(|failure| failure.input == input);
        let count = before.map_or(0, |failure| failure.count).saturating_add(1);
        let retry_at = now.after(backoff::delay(count, jitter));
        let (kind, error) = (PortErrorKind::Transient, without_effect(work).to_owned());
        failures.insert(work, Failure { input, count, retry_at, kind, error });
    }

    /// Says why the attempt that was just counted failed.
    pub(super) fn failed(
        &mut self,
        name: &CompanionName,
        work: Work,
        kind: PortErrorKind,
        error: &str,
    ) {
        let failures = self.failures.get_mut(name);
        if let Some(failure) = failures.and_then(|failures| failures.get_mut(&work)) {
            failure.kind = kind;
            failure.error = error.to_owned();
        }
    }

    /// Takes over how a task of an earlier reconcile ended: its work is put off from then on, well ended or
    /// not.
    pub(super) fn ended(
        &mut self,
        (name, work): &TaskKey,
        input: Fingerprint,
        end: &End,
        at: Monotonic,
        jitter: u16,
    ) {
        let failures = self.failures.get_mut(name);
        let counted = failures.and_then(|failures| failures.get_mut(work));
        let Some(failure) = counted.filter(|failure| failure.input == input) else { return };
        failure.retry_at = at.after(backoff::delay(failure.count, jitter));
        if let End::Failed { kind, error } = end {
            failure.kind = *kind;
            failure.error.clone_from(error);
        }
    }

    /// When the last of the back-offs is over.
    pub(super) fn last_retry(&self) -> Option<Monotonic> {
        let failures = self.failures.values().flat_map(BTreeMap::values);
        failures.map(|failure| failure.retry_at).max()
    }

    pub(super) fn reset_backoff(&mut self, plan: &Plan) {
        for (name, work) in &plan.recovered {
            if let Some(failures) = self.failures.get_mut(name) {
                failures.remove(work);
            }
        }
        self.failures.retain(|_, failures| !failures.is_empty());
    }
}

/// What is said of an attempt that reported no error, when nothing came of it.
fn without_effect(work: Work) -> &'static str {
    match work {
        Work::Hook => "what it rendered was not put in place, or did not last",
        Work::Image => "it could not be built as it is now",
        Work::Unit => "what was written did not last",
        Work::Load => "a reload did not load it",
        Work::Service => "it did not stay up",
        Work::Removal => "what was removed is still there",
        Work::Prune => "they are still there",
    }
}
