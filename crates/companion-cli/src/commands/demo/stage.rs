//! A simulated host, a manager that can crash, and a log of its steps.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use adapter_fake::{Counts, FakeHost};
use archipelago_companions::Catalog;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::reconciler::{Event, EventSink, Reconciler};
use companion_core::supervisor::Supervisor;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backend::sim;
use crate::error::{CommandError, CommandResult};

/// The limit for a repair, in virtual time.
const TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// The time to watch after a repair, to detect superfluous steps.
const REST: Duration = Duration::from_secs(65);
/// The interval between checks while something is unrepaired.
const GLANCE: Duration = Duration::from_millis(100);

/// The interval between checks while everything is as desired.
const GLANCE_WHILE_TRUE: Duration = Duration::from_millis(500);

/// A scenario.
#[derive(Debug)]
pub(super) struct Scene {
    /// A short title.
    pub(super) title: &'static str,
    /// The fault, in one sentence.
    pub(super) happened: &'static str,
    /// The promise about the repair.
    pub(super) promise: &'static str,
    /// Returns whether the cost keeps the promise.
    pub(super) keeps: fn(&Counts) -> bool,
}

/// A scenario and its result.
#[derive(Debug)]
pub(super) struct Act {
    /// The scenario.
    pub(super) scene: Scene,
    /// The steps taken, each with the time since the fault.
    pub(super) steps: Vec<(Duration, String)>,
    /// The time until everything was repaired; `None` if it was not.
    pub(super) true_after: Option<Duration>,
    /// What remains unrepaired.
    pub(super) untruth: Option<String>,
    /// The cost of the repair.
    pub(super) counts: Counts,
}

impl Act {
    /// Returns whether the repair kept the promise.
    pub(super) fn is_kept(&self) -> bool {
        (self.scene.keeps)(&self.counts)
    }

    /// Returns whether everything was repaired as promised.
    pub(super) fn is_good(&self) -> bool {
        self.true_after.is_some() && self.untruth.is_none() && self.is_kept()
    }
}

/// The host, the manager and the completed scenarios.
pub(super) struct Stage<'s> {
    /// The host.
    pub(super) host: FakeHost,
    /// The completed scenarios.
    pub(super) acts: Vec<Act>,
    catalog: Catalog,
    record: Arc<Record>,
    manager: Option<Manager>,
    /// Shows an act and its number when it has ended.
    show: &'s dyn Fn(&Act, usize),
}

struct Manager {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl<'s> Stage<'s> {
    /// Creates an empty host without a manager.
    pub(super) fn new(show: &'s dyn Fn(&Act, usize)) -> Self {
        let catalog = Catalog::builtin();
        let host = sim::host(&catalog);
        host.require_leader(true);
        let record = Arc::new(Record { host: host.clone(), steps: Mutex::default() });
        Self { host, acts: Vec::new(), catalog, record, manager: None, show }
    }

    /// Returns a built-in companion.
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

    /// Aborts the manager with all its work.
    pub(super) async fn manager_crashes(&mut self) {
        if let Some(manager) = self.manager.take() {
            manager.task.abort();
            // The error says that the task was aborted.
            let _ = manager.task.await;
        }
    }

    /// Shuts the manager down and waits for it.
    pub(super) async fn manager_ends(&mut self) {
        if let Some(manager) = self.manager.take() {
            manager.shutdown.cancel();
            // A panic of the manager shows as a missing repair.
            let _ = manager.task.await;
        }
    }

    /// Waits until the host fulfils `reached`, at most [`TIMEOUT`].
    pub(super) async fn until(&self, reached: impl Fn(&FakeHost) -> bool) {
        let deadline = self.host.now() + TIMEOUT;
        while !reached(&self.host) && self.host.now() < deadline {
            sleep(GLANCE).await;
        }
    }

    /// Runs a scenario: injects its fault by `deed`, and watches until everything is repaired.
    pub(super) async fn play(&mut self, scene: Scene, deed: impl AsyncFnOnce(&mut Self)) {
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
        let act = Act {
            scene,
            steps: steps.into_iter().map(after).collect(),
            true_after: untruth.is_none().then(|| true_since.saturating_sub(since)),
            untruth,
            counts,
        };
        (self.show)(&act, self.acts.len() + 1);
        self.acts.push(act);
    }
}

/// The last time at which something was not as desired.
#[derive(Default)]
struct Sight {
    last_untrue: Cell<Option<Duration>>,
}

impl Sight {
    /// Watches the host forever.
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

/// Logs the steps of the managers.
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
            Event::StepEnded(..) | Event::WorkEnded(_, _, None) | Event::Reconciled(..) => return,
        };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push((self.host.now(), line));
    }
}
