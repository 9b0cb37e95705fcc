//! Metrics of a leader, in the text format of Prometheus.
//!
//! # Flow
//! ```text
//! what a leader publishes ─► Metrics: counts in memory ─► text ─┬─► a file, for node-exporter's textfile collector
//!                                                               └─► a Unix socket, over HTTP
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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::service::ServiceState;
use companion_core::reconciler::Reconcile;
use companion_core::status::{CompanionStatus, Health};
use tokio::sync::Notify;

use crate::published::{EventKind, EventRecord, wall_clock};

mod export;
mod text;

pub use export::{MetricsFile, MetricsSocket};

/// Counts what a leader does: [`Options::with_metrics`](crate::Options::with_metrics). Clones share the counts.
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
    steps: BTreeMap<(CompanionName, String, String), u64>,
    /// Failed steps by companion and verb.
    failures: BTreeMap<(CompanionName, String), u64>,
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
        text::of(&self.counts())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the end of a step, and a companion that is ready again. The shared load serves several companions; their
    /// own steps have the reason.
    pub(crate) fn event(&self, event: &EventRecord) {
        let Some(name) = event.companion.clone() else { return };
        let (mut counts, verb) = (self.counts(), event.action.clone());
        match event.kind {
            EventKind::Done => {
                let reason = event.reason.clone().unwrap_or_default();
                *counts.steps.entry((name, verb, reason)).or_default() += 1;
            }
            EventKind::Failed => *counts.failures.entry((name, verb)).or_default() += 1,
            EventKind::State => {
                let Some(took) = event.took else { return };
                counts.companion(&name).repairs.add(Duration::from_millis(took));
                self.shared.changed.notify_one();
            }
            EventKind::Started | EventKind::NotNeeded | EventKind::Leader => {}
        }
    }

    /// Counts a reconcile and what it saw; `None` could not start.
    pub(crate) fn reconciled(
        &self,
        reconcile: Option<(&Reconcile, &[CompanionStatus])>,
        took: Duration,
    ) {
        let mut counts = self.counts();
        match reconcile {
            Some((reconcile, companions)) => counts.reconciled(reconcile, companions, took),
            None => counts.failed_reconciles += 1,
        }
        self.shared.changed.notify_one();
    }
}

impl Counts {
    fn companion(&mut self, name: &CompanionName) -> &mut Companion {
        self.companions.entry(name.clone()).or_default()
    }

    fn reconciled(
        &mut self,
        reconcile: &Reconcile,
        companions: &[CompanionStatus],
        took: Duration,
    ) {
        self.reconciles.add(took);
        self.last_success = Some(wall_clock());
        let known: BTreeSet<_> = companions.iter().map(|one| &one.name).collect();
        self.companions.retain(|name, _| known.contains(name));
        self.steps.retain(|(name, ..), _| known.contains(name));
        self.failures.retain(|(name, _), _| known.contains(name));
        for status in companions {
            let seen = reconcile.observed.companions.get(&status.name);
            let attempts = status.conditions.iter().filter_map(|condition| condition.attempts);
            let one = self.companion(&status.name);
            let service = seen.and_then(|seen| seen.service.known());
            one.is_up = service.map(ServiceState::is_up);
            one.is_ready = status.health == Health::Ready;
            one.restarts = status.restarts;
            one.attempts = attempts.max().unwrap_or(0);
        }
    }
}
