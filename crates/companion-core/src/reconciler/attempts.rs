//! What is remembered of attempts: how often each failed, and until when it is held back.

use std::collections::BTreeMap;

use super::tasks::Ended;
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::observed::{Failure, Work};
use crate::model::revision::Fingerprint;
use crate::plan::Plan;
use crate::planner::backoff;
use crate::ports::PortErrorKind;

/// The failures that hold work back, and the means to count more of them.
pub(super) struct Attempts {
    pub(super) failures: BTreeMap<CompanionName, BTreeMap<Work, Failure>>,
    pub(super) now: Monotonic,
    jitter: Box<dyn FnMut() -> u16 + Send>,
}

impl Attempts {
    pub(super) fn new(jitter: Box<dyn FnMut() -> u16 + Send>) -> Self {
        Self { failures: BTreeMap::new(), now: Monotonic::default(), jitter }
    }

    /// Counts an attempt when it begins: only a later round that reads its success takes it back.
    pub(super) fn begin(&mut self, name: &CompanionName, work: Work, input: Fingerprint) {
        let failures = self.failures.entry(name.clone()).or_default();
        let before = failures.get(&work).filter(|failure| failure.input == input);
        let count = before.map_or(0, |failure| failure.count).saturating_add(1);
        let retry_at = self.now.after(backoff::delay(count, (self.jitter)()));
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

    /// Takes over how work of an earlier round ended: it is put off from now, well ended or not.
    pub(super) fn ended(&mut self, ended: &Ended) {
        let failures = self.failures.get_mut(&ended.companion);
        let counted = failures.and_then(|failures| failures.get_mut(&ended.work));
        let Some(failure) = counted.filter(|failure| failure.input == ended.input) else { return };
        failure.retry_at = self.now.after(backoff::delay(failure.count, (self.jitter)()));
        if let Err(error) = &ended.result {
            failure.kind = error.kind();
            failure.error = error.chain();
        }
    }

    pub(super) fn heal(&mut self, plan: &Plan) {
        for (name, work) in &plan.healed {
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
        Work::Hook => "what it rendered did not last",
        Work::Image => "it could not be built as it is now",
        Work::Unit => "what was written did not last",
        Work::Load => "a reload did not load it",
        Work::Service => "it did not stay up",
        Work::Removal => "what was removed is still there",
        Work::Prune => "they are still there",
    }
}

/// A source of jitter from the randomness that the standard library seeds its maps with.
pub(super) fn random_jitter() -> Box<dyn FnMut() -> u16 + Send> {
    use std::hash::{BuildHasher, RandomState};
    let state = RandomState::new();
    let mut drawn = 0_u64;
    Box::new(move || {
        drawn = drawn.wrapping_add(1);
        let [low, high, ..] = state.hash_one(drawn).to_le_bytes();
        u16::from_le_bytes([low, high])
    })
}
