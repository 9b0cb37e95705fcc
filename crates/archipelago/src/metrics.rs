//! Metrics of a leader, in the text format of Prometheus.
//!
//! # Flow
//! ```text
//! events of the reconciler ─► Metrics: counts in memory ─► text ─┬─► a file, for node-exporter's textfile collector
//!                                                                └─► a Unix socket, over HTTP
//! ```
//!
//! # Guarantees
//! - Handling an event never waits, and costs no IO.
//! - Memory is bounded by the companions and the reasons of the planner.
//! - The file is written whole or not at all.
//!
//! # Caveats
//! - A fault begins when the leader observes it, so a repair's time leaves out the time until then. A companion that was
//!   ready before and is changed by an intent counts as repaired once it is ready again.
//! - All counts begin at 0 with the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::observed::Work;
use companion_core::model::service::ServiceState;
use companion_core::plan::Step;
use companion_core::reconciler::{Event, EventSink, Outcome, Reconcile, ReconcileError};
use companion_core::status::{CompanionStatus, Health, status};
use tokio::sync::Notify;

use crate::published::{Outages, reason_word, wall_clock};

mod export;
mod text;

pub use export::{MetricsFile, MetricsSocket};

/// Counts what a reconciler does. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    companions: BTreeMap<CompanionName, Companion>,
    /// Completed steps by companion, verb and reason.
    steps: BTreeMap<(CompanionName, &'static str, String), u64>,
    /// Failed steps by companion and verb.
    failures: BTreeMap<(CompanionName, &'static str), u64>,
    /// The verb and the reason of work under way.
    under_way: BTreeMap<(CompanionName, Work), (&'static str, String)>,
    outages: Outages,
    reconciles: Times,
    failed_reconciles: u64,
    /// When a reconcile last succeeded, as Unix time.
    last_success: Option<Duration>,
}

/// What is known of one companion.
#[derive(Debug, Default)]
struct Companion {
    /// `None` if unknown.
    is_up: Option<bool>,
    is_ready: bool,
    restarts: Option<u32>,
    attempts: u32,
    repairs: Times,
}

/// How often something happened, and how long it took.
#[derive(Debug, Default)]
struct Times {
    count: u64,
    total: Duration,
    last: Option<Duration>,
}

impl Times {
    fn add(&mut self, took: Duration) {
        self.count = self.count.saturating_add(1);
        self.total = self.total.saturating_add(took);
        self.last = Some(took);
    }
}

impl Metrics {
    /// Returns the metrics as text, version 0.0.4 of the format.
    pub fn text(&self) -> String {
        self.with(|counts| text::of(counts))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Counts) -> T) -> T {
        work(&mut self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventSink for Metrics {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::StepBegun(_) => {}
            Event::StepEnded(step, outcome) => self.with(|counts| counts.step_ended(step, outcome)),
            Event::WorkEnded(name, work, error) => {
                self.with(|counts| counts.work_ended(name, *work, error.is_some()));
            }
            Event::Reconciled(reconcile, took) => {
                match reconcile {
                    Ok(reconcile) => self.with(|counts| counts.reconciled(reconcile, *took)),
                    Err(ReconcileError::Desired(_)) => {
                        self.with(|counts| counts.failed_reconciles += 1);
                    }
                    // The leader's file is left alone.
                    Err(ReconcileError::Led { .. } | ReconcileError::Leadership(_)) => return,
                }
                self.shared.changed.notify_one();
            }
        }
    }
}

impl Counts {
    fn step_ended(&mut self, step: &Step, outcome: &Outcome) {
        // The shared load serves several companions; their own steps have the reason.
        let Some(name) = step.companion() else { return };
        let reason = reason_word(&step.reason).unwrap_or_default();
        let verb = step.action.verb();
        match outcome {
            Outcome::Begun => {
                self.under_way.insert((name.clone(), step.work), (verb, reason));
            }
            Outcome::Done => self.done(name, verb, reason),
            Outcome::Failed(_) => self.failed(name, verb),
            Outcome::NotNeeded | Outcome::Skipped => {}
        }
    }

    fn work_ended(&mut self, name: &CompanionName, work: Work, failed: bool) {
        match self.under_way.remove(&(name.clone(), work)) {
            Some((verb, _)) if failed => self.failed(name, verb),
            Some((verb, reason)) => self.done(name, verb, reason),
            None => {}
        }
    }

    fn done(&mut self, name: &CompanionName, verb: &'static str, reason: String) {
        *self.steps.entry((name.clone(), verb, reason)).or_default() += 1;
    }

    fn failed(&mut self, name: &CompanionName, verb: &'static str) {
        *self.failures.entry((name.clone(), verb)).or_default() += 1;
    }

    fn reconciled(&mut self, reconcile: &Reconcile, took: Duration) {
        self.reconciles.add(took);
        self.last_success = Some(wall_clock());
        let companions = status(reconcile);
        let known: BTreeSet<_> = companions.iter().map(|one| &one.name).collect();
        let is_known = |name: &CompanionName| known.contains(name);
        self.companions.retain(|name, _| is_known(name));
        self.steps.retain(|(name, ..), _| is_known(name));
        self.failures.retain(|(name, _), _| is_known(name));
        self.under_way.retain(|(name, _), _| is_known(name));
        self.outages.retain(is_known);
        for one in &companions {
            let seen = reconcile.observed.companions.get(&one.name);
            let service = seen.and_then(|seen| seen.service.known());
            let companion = self.companions.entry(one.name.clone()).or_default();
            companion.observed(one, service.map(ServiceState::is_up));
            if let Some(took) = self.outages.observe(one) {
                companion.repairs.add(took);
            }
        }
    }
}

impl Companion {
    fn observed(&mut self, status: &CompanionStatus, is_up: Option<bool>) {
        self.is_up = is_up;
        self.is_ready = status.health == Health::Ready;
        self.restarts = status.restarts;
        let attempts = status.conditions.iter().filter_map(|condition| condition.attempts);
        self.attempts = attempts.max().unwrap_or(0);
    }
}
