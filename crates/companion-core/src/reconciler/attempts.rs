//! What is remembered of attempts: how often each failed, and until when it is held back.

use std::collections::BTreeMap;

use super::tasks::Ended;
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::observed::{Failure, Work};
use crate::model::revision::Fingerprint;
use crate::plan::{Plan, Step};
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

    pub(super) fn failed(&mut self, step: &Step, kind: PortErrorKind, error: &str) {
        if let Some(name) = &step.companion {
            self.count(name, step.work, step.input, kind, error);
        }
    }

    /// Counts an attempt whose success can only be read back; `error` is what is said if it is not.
    pub(super) fn tried(
        &mut self,
        name: &CompanionName,
        work: Work,
        input: Fingerprint,
        error: &str,
    ) {
        self.count(name, work, input, PortErrorKind::Transient, error);
    }

    /// Takes over how work of an earlier round ended. What was counted when it began is not counted
    /// again, but put off from now, well ended or not: only what is read back is a success.
    pub(super) fn ended(&mut self, ended: &Ended) {
        let (name, work, input) = (&ended.companion, ended.work, ended.input);
        let failures = self.failures.get_mut(name);
        let counted = failures
            .and_then(|failures| failures.get_mut(&work))
            .filter(|failure| ended.counted && failure.input == input);
        match (counted, &ended.result) {
            (Some(failure), result) => {
                failure.retry_at = self.now.after(backoff::delay(failure.count, (self.jitter)()));
                if let Err(error) = result {
                    failure.kind = error.kind();
                    failure.error = error.chain();
                }
            }
            (None, Err(error)) => self.count(name, work, input, error.kind(), &error.chain()),
            (None, Ok(())) => {}
        }
    }

    fn count(
        &mut self,
        name: &CompanionName,
        work: Work,
        input: Fingerprint,
        kind: PortErrorKind,
        error: &str,
    ) {
        let failures = self.failures.entry(name.clone()).or_default();
        let before = failures.get(&work).filter(|failure| failure.input == input);
        let count = before.map_or(0, |failure| failure.count).saturating_add(1);
        let retry_at = self.now.after(backoff::delay(count, (self.jitter)()));
        failures.insert(work, Failure { input, count, retry_at, kind, error: error.to_owned() });
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
