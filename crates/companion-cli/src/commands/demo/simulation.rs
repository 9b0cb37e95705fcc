//! A simulated host, a manager that can crash, and a log of its steps.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use adapter_fake::{Counts, FakeHost};
use archipelago_companions::Catalog;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::reconciler::{self, EventSink, Reconciler};
use companion_core::supervisor::Supervisor;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::scenarios::{Event, Scenario};
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

/// The three companions.
pub(super) struct Specs {
    pub(super) bitcoin: CompanionSpec,
    pub(super) lnd: CompanionSpec,
    pub(super) electrs: CompanionSpec,
}

/// A scenario and its result.
#[derive(Debug)]
pub(super) struct Repair {
    /// The scenario.
    pub(super) scenario: &'static Scenario,
    /// The steps taken, each with the time since the fault.
    pub(super) steps: Vec<(Duration, String)>,
    /// The time until everything was repaired; `None` if it was not.
    pub(super) true_after: Option<Duration>,
    /// What remains unrepaired.
    pub(super) mismatch: Option<String>,
    /// The cost of the repair.
    pub(super) counts: Counts,
}

impl Repair {
    /// Returns whether the repair kept the promise.
    pub(super) fn is_kept(&self) -> bool {
        (self.scenario.keeps)(&self.counts)
    }

    /// Returns whether everything was repaired as promised.
    pub(super) fn is_good(&self) -> bool {
        self.true_after.is_some() && self.is_kept()
    }
}

/// The host and the manager.
pub(super) struct Simulation {
    /// The host.
    pub(super) host: FakeHost,
    specs: Specs,
    record: Arc<Record>,
    manager: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Simulation {
    /// Creates an empty host without a manager.
    pub(super) fn new() -> CommandResult<Self> {
        let catalog = Catalog::builtin();
        let spec = |name| {
            let name = CompanionName::new(name);
            let spec = name.ok().and_then(|name| catalog.companion(&name).cloned());
            spec.ok_or_else(|| CommandError::failure("a built-in companion is missing"))
        };
        let specs = Specs {
            bitcoin: spec("archy-bitcoin-ui")?,
            lnd: spec("archy-lnd-ui")?,
            electrs: spec("archy-electrs-ui")?,
        };
        let host = sim::host(&catalog);
        host.require_leader(true);
        let record = Arc::new(Record { host: host.clone(), steps: Mutex::default() });
        Ok(Self { host, specs, record, manager: None })
    }

    /// Shuts the manager down and waits for it.
    pub(super) async fn manager_ends(&mut self) {
        if let Some((task, shutdown)) = self.manager.take() {
            shutdown.cancel();
            // A panic of the manager shows as a missing repair.
            let _ = task.await;
        }
    }

    /// Runs a scenario: injects its fault, and watches until everything is repaired.
    pub(super) async fn run(&mut self, scenario: &'static Scenario) -> Repair {
        let (host, before, since) = (self.host.clone(), self.host.counts(), self.host.now());
        self.record.take();
        let last_untrue = Cell::new(None);
        tokio::select! {
            () = watch(&host, &last_untrue) => {}
            () = self.inject(scenario, before) => {}
        }
        let mismatch = host.mismatch().map(|(name, what)| format!("{name}: {what:?}"));
        let true_since = last_untrue.get().map_or(since, |untrue: Duration| untrue + GLANCE);
        let after = |(at, step): (Duration, String)| (at.saturating_sub(since), step);
        Repair {
            scenario,
            steps: self.record.take().into_iter().map(after).collect(),
            true_after: mismatch.is_none().then(|| true_since.saturating_sub(since)),
            mismatch,
            counts: host.counts().since(before),
        }
    }

    async fn inject(&mut self, scenario: &Scenario, before: Counts) {
        for event in scenario.events {
            match event {
                Event::Host(happens) => happens(&self.host, &self.specs),
                Event::ManagerStarts => {
                    let events: Arc<dyn EventSink> = Arc::clone(&self.record) as _;
                    let reconciler = Arc::new(Reconciler::with_events(self.host.ports(), events));
                    let shutdown = CancellationToken::new();
                    let supervisor = Supervisor::new(reconciler);
                    let task = tokio::spawn(supervisor.run(shutdown.clone(), |_reconcile| {}));
                    self.manager = Some((task, shutdown));
                }
                Event::ManagerCrashes => {
                    if let Some((task, _)) = self.manager.take() {
                        task.abort();
                        // The error says that the task was aborted.
                        let _ = task.await;
                    }
                }
                Event::Pause(seconds) => sleep(Duration::from_secs(*seconds)).await,
                Event::Until(reached) => {
                    self.until(|host| reached(&host.counts().since(before))).await;
                }
            }
        }
        self.until(|host| host.mismatch().is_none()).await;
        sleep(REST).await;
    }

    /// Waits until the host fulfils `reached`, at most [`TIMEOUT`].
    async fn until(&self, reached: impl Fn(&FakeHost) -> bool) {
        let deadline = self.host.now() + TIMEOUT;
        while !reached(&self.host) && self.host.now() < deadline {
            sleep(GLANCE).await;
        }
    }
}

/// Watches forever whether something on the host is not as desired, and notes when it last was so.
async fn watch(host: &FakeHost, last_untrue: &Cell<Option<Duration>>) {
    loop {
        let untrue = host.mismatch().is_some();
        if untrue {
            last_untrue.set(Some(host.now()));
        }
        sleep(if untrue { GLANCE } else { GLANCE_WHILE_TRUE }).await;
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
    fn on_event(&self, event: &reconciler::Event<'_>) {
        use reconciler::Event::{Reconciled, StepBegun, StepEnded, WorkEnded};
        let line = match event {
            StepBegun(step) => step.to_string(),
            WorkEnded(name, _, Some(error)) => format!("{name}: {error}"),
            StepEnded(..) | WorkEnded(_, _, None) | Reconciled(..) => return,
        };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push((self.host.now(), line));
    }
}
