//! The stage: an embedded host, a manager that can die, and a record of what it did.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use adapter_fake::{Counts, FakeHost};
use archipelago::Catalog;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::reconciler::{Event, EventSink, Reconciler};
use companion_core::supervisor::Supervisor;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::error::{CommandError, CommandResult};
use crate::hosts::sim;

/// How long a repair may take in virtual time before it counts as not coming.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// How long things are left alone after a repair, so that what is done too much is seen as well.
const REST: Duration = Duration::from_secs(65);
/// How exactly the moment of a repair is seen.
const GLANCE: Duration = Duration::from_millis(100);

/// How often it is looked whether all is still true.
const GLANCE_WHILE_TRUE: Duration = Duration::from_millis(500);

/// What happened and what came of it.
#[derive(Debug)]
pub(super) struct Act {
    /// In a few words.
    pub(super) title: &'static str,
    /// In a sentence.
    pub(super) happened: &'static str,
    /// The steps that were taken, each with the time since it happened.
    pub(super) steps: Vec<(Duration, String)>,
    /// How long it took until all was true; `None` when it never was.
    pub(super) true_after: Option<Duration>,
    /// What is not true in the end.
    pub(super) untruth: Option<String>,
    /// What the repair is promised to be.
    pub(super) promise: &'static str,
    /// Whether it was.
    pub(super) kept: bool,
    /// What it cost.
    pub(super) counts: Counts,
}

impl Act {
    /// Whether all was repaired as promised.
    pub(super) fn is_good(&self) -> bool {
        self.true_after.is_some() && self.untruth.is_none() && self.kept
    }
}

/// What an act is, before it is played.
pub(super) struct Scene {
    /// In a few words.
    pub(super) title: &'static str,
    /// In a sentence.
    pub(super) happened: &'static str,
    /// What the repair is promised to be.
    pub(super) promise: &'static str,
    /// Whether what it cost keeps that promise.
    pub(super) keeps: fn(&Counts) -> bool,
}

/// The host, the manager and the acts so far.
pub(super) struct Stage {
    /// The host.
    pub(super) host: FakeHost,
    /// The acts so far.
    pub(super) acts: Vec<Act>,
    catalog: Catalog,
    record: Arc<Record>,
    manager: Option<Manager>,
}

struct Manager {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Stage {
    /// A host with nothing on it, and no manager.
    pub(super) fn new() -> CommandResult<Self> {
        let catalog = Catalog::builtin();
        let host = sim::host(&catalog);
        host.require_leader(true);
        let record = Arc::new(Record { host: host.clone(), steps: Mutex::default() });
        Ok(Self { host, acts: Vec::new(), catalog, record, manager: None })
    }

    /// A built-in companion.
    pub(super) fn spec(&self, name: &str) -> CommandResult<CompanionSpec> {
        let name = CompanionName::new(name);
        let spec = name.ok().and_then(|name| self.catalog.companion(&name).cloned());
        spec.ok_or_else(|| CommandError::failure("a built-in companion is missing"))
    }

    /// Starts a manager, as `companion run` does.
    pub(super) fn manager_starts(&mut self) {
        let events: Arc<dyn EventSink> = Arc::clone(&self.record) as _;
        let reconciler = Arc::new(Reconciler::with_events(self.host.ports(), events));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(Supervisor::new(reconciler).run(shutdown.clone(), |_round| {}));
        self.manager = Some(Manager { task, shutdown });
    }

    /// The manager dies on the spot, with all that it was doing.
    pub(super) async fn manager_crashes(&mut self) {
        if let Some(manager) = self.manager.take() {
            manager.task.abort();
            // It ended because it was aborted.
            let _ = manager.task.await;
        }
    }

    /// The manager is told to end.
    pub(super) async fn manager_ends(&mut self) {
        if let Some(manager) = self.manager.take() {
            manager.shutdown.cancel();
            // A panic of the manager shows in what was not repaired.
            let _ = manager.task.await;
        }
    }

    /// Waits until what was done so far fulfils `reached`, within [`PATIENCE`].
    pub(super) async fn until(&self, reached: impl Fn(&FakeHost) -> bool) {
        let deadline = self.host.now() + PATIENCE;
        while !reached(&self.host) && self.host.now() < deadline {
            sleep(GLANCE).await;
        }
    }

    /// Plays an act: does `deed`, and watches until all is true again.
    pub(super) async fn play(&mut self, scene: Scene, deed: impl AsyncFnOnce(&mut Self)) -> &Act {
        let (before, since) = (self.host.counts(), self.host.now());
        self.record.take();
        let sight = Sight::default();
        tokio::select! {
            () = sight.watch(self.host.clone()) => {}
            () = deed(self) => {}
        }
        tokio::select! {
            () = sight.watch(self.host.clone()) => {}
            () = async {
                self.until(|host| host.untruth().is_none()).await;
                sleep(REST).await;
            } => {}
        }
        let untruth = self.host.untruth().map(|(name, what)| format!("{name}: {what:?}"));
        let true_since = sight.last_untrue.get().map_or(since, |untrue| untrue + GLANCE);
        let counts = self.host.counts().since(before);
        let steps = self.record.take();
        let after = |(at, step): (Duration, String)| (at.saturating_sub(since), step);
        self.acts.push(Act {
            title: scene.title,
            happened: scene.happened,
            steps: steps.into_iter().map(after).collect(),
            true_after: untruth.is_none().then(|| true_since.saturating_sub(since)),
            untruth,
            promise: scene.promise,
            kept: (scene.keeps)(&counts),
            counts,
        });
        &self.acts[self.acts.len() - 1]
    }
}

/// When something was last seen not to be true.
#[derive(Default)]
struct Sight {
    last_untrue: Cell<Option<Duration>>,
}

impl Sight {
    /// Looks again and again, and never ends.
    async fn watch(&self, host: FakeHost) {
        loop {
            let untrue = host.untruth().is_some();
            if untrue {
                self.last_untrue.set(Some(host.now()));
            }
            sleep(if untrue { GLANCE } else { GLANCE_WHILE_TRUE }).await;
        }
    }
}

/// Notes the steps that managers take.
struct Record {
    host: FakeHost,
    steps: Mutex<Vec<(Duration, String)>>,
}

impl Record {
    fn take(&self) -> Vec<(Duration, String)> {
        std::mem::take(&mut self.steps.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventSink for Record {
    fn on_event(&self, event: &Event<'_>) {
        let line = match event {
            Event::StepBegun(step) => step.to_string(),
            Event::WorkEnded(name, _, Some(error)) => format!("{name}: {error}"),
            Event::StepEnded(..) | Event::WorkEnded(_, _, None) | Event::Reconciled(_) => return,
        };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push((self.host.now(), line));
    }
}
