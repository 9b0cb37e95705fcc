//! `Publisher`: writes what a leader reports, as it happens, and nothing when nothing changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::model::observed::Work;
use companion_core::plan::{Reason, Step};
use companion_core::reconciler::{Event, EventSink, Outcome, Reconcile, ReconcileError};
use companion_core::status::{CompanionStatus, Health};
use durable_dir::{Dir, DirResult, Trust};
use host_files::blocking;
use host_files::errors::failed_to;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::report::dated;
use super::{
    EVENTS_FILE, EVENTS_LIMIT, EventKind, EventRecord, InputsReport, STATUS_FILE, StatusReport,
    VERSION, edited_in, wall_clock,
};
use crate::desired_store::RecordStore;
use crate::leader::{Heartbeat, LeaderInfo};
use crate::metrics::Metrics;

/// The most events that wait to be written; a file system that hangs keeps the memory bounded.
const QUEUE_LIMIT: usize = 1000;

/// The receiver of each event. It must return immediately.
pub type Listener = Arc<dyn Fn(&EventRecord) + Send + Sync>;

/// Publishes the status and the events of one leader.
///
/// It takes events in immediately and writes them in a separate task, so that a slow disk delays nobody.
pub(crate) struct Publisher {
    listener: Option<Listener>,
    metrics: Metrics,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) leader: LeaderInfo,
    store: Arc<RecordStore>,
    queue: Mutex<Queue>,
    changed: Notify,
    /// One write at a time.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Queue {
    events: Vec<EventRecord>,
    /// The last report.
    last: Option<StatusReport>,
    /// Whether the last report waits to be written.
    is_due: bool,
    /// When companions that were ready stopped being so.
    outages: BTreeMap<CompanionName, Instant>,
    /// The steps that have not ended: since when, and the event of their start.
    started: BTreeMap<Task, (Instant, EventRecord)>,
    complained: bool,
}

/// What is done for a companion; `None` is the reload, which serves all.
type Task = Option<(CompanionName, Work)>;

fn task(step: &Step) -> Task {
    step.companion().map(|name| (name.clone(), step.work))
}

impl EventSink for Publisher {
    fn on_event(&self, event: &Event<'_>) {
        self.heartbeat.beat();
        match event {
            Event::StepBegun(step) => self.step_started(step),
            Event::StepEnded(step, outcome) => self.step_ended(step, outcome),
            Event::WorkEnded(name, work, error) => self.work_ended(name, *work, *error),
            Event::Reconciled(Ok(reconcile), took) => self.reconciled(reconcile, *took),
            Event::Reconciled(Err(error), took) => self.not_reconciled(error, *took),
        }
    }
}

fn record(kind: EventKind, companion: Option<&CompanionName>, action: &str) -> EventRecord {
    EventRecord {
        at: milliseconds(wall_clock()),
        kind,
        companion: companion.cloned(),
        action: action.to_owned(),
        message: None,
        reason: None,
        took: None,
        intent: None,
    }
}

/// The reason in one word: its name, whatever it carries.
pub(crate) fn reason_word(reason: &Reason) -> Option<String> {
    match serde_json::to_value(reason).ok()? {
        serde_json::Value::String(word) => Some(word),
        serde_json::Value::Object(tagged) => tagged.keys().next().cloned(),
        _ => None,
    }
}

impl Publisher {
    /// A publisher in the state directory of `store`, as `leader`.
    pub(crate) fn new(
        store: Arc<RecordStore>,
        leader: LeaderInfo,
        heartbeat: Arc<Heartbeat>,
        listener: Option<Listener>,
        metrics: Metrics,
    ) -> Self {
        Self {
            listener,
            metrics,
            heartbeat,
            leader,
            store,
            queue: Mutex::default(),
            changed: Notify::new(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Writes what is reported from now on, until the returned task is dropped.
    pub(crate) fn start(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let publisher = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                publisher.changed.notified().await;
                publisher.flush().await;
            }
        }))
    }

    /// Shows an event of another leader to the listener.
    pub(crate) fn show(&self, event: &EventRecord) {
        if let Some(listener) = &self.listener {
            listener(event);
        }
    }

    /// Reports that the leader started or ended, or that its inputs changed.
    pub(crate) fn leader_event(&self, action: &str, message: Option<String>) {
        self.emit(EventRecord { message, ..record(EventKind::Leader, None, action) });
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, event: EventRecord) {
        self.show(&event);
        self.metrics.event(&event);
        let mut queue = self.queue();
        if queue.events.len() < QUEUE_LIMIT {
            queue.events.push(event);
        }
        drop(queue);
        self.changed.notify_one();
    }

    fn step_started(&self, step: &Step) {
        let event = EventRecord {
            message: Some(step.reason.to_string()),
            reason: reason_word(&step.reason),
            intent: self.store.seen().intents.get(&step.generation).cloned(),
            ..record(EventKind::Started, step.companion(), step.action.verb())
        };
        self.queue().started.insert(task(step), (Instant::now(), event.clone()));
        self.emit(event);
    }

    fn step_ended(&self, step: &Step, outcome: &Outcome) {
        match outcome {
            Outcome::Done => self.ended(&task(step), EventKind::Done, None),
            Outcome::NotNeeded => self.ended(&task(step), EventKind::NotNeeded, None),
            Outcome::Failed(problem) => {
                self.ended(&task(step), EventKind::Failed, Some(&problem.message));
            }
            Outcome::Started | Outcome::Skipped => {}
        }
    }

    fn work_ended(&self, name: &CompanionName, work: Work, error: Option<&str>) {
        let kind = if error.is_some() { EventKind::Failed } else { EventKind::Done };
        self.ended(&Some((name.clone(), work)), kind, error);
    }

    /// Reports the end of `task`; nothing if its start is unknown.
    fn ended(&self, task: &Task, kind: EventKind, error: Option<&str>) {
        let Some((since, started)) = self.queue().started.remove(task) else { return };
        let message = error.map(str::to_owned).or(started.message);
        let (at, took) = (milliseconds(wall_clock()), Some(milliseconds(since.elapsed())));
        self.emit(EventRecord { at, kind, message, took, ..started });
    }

    fn reconciled(&self, reconcile: &Reconcile, took: Duration) {
        let listing = &reconcile.observed.listing_error;
        let listing = listing.iter().map(|it| format!("failed to list the managed units: {it}"));
        let violations = reconcile.violations.iter().map(|it| format!("the plan violates {it}"));
        let problems = listing.chain(violations).collect();
        let companions = {
            let queue = self.queue();
            dated(reconcile, queue.last.as_ref().map_or(&[], |last| &last.companions))
        };
        self.metrics.reconciled(Some((reconcile, &companions)), took);
        self.publish(reconcile.desired.latest, problems, companions);
    }

    /// A leader that cannot read what is desired publishes that, and leaves the companions as it saw them:
    /// nothing comes of them until that changes. The files of another leader are left alone.
    fn not_reconciled(&self, error: &ReconcileError, took: Duration) {
        if !matches!(error, ReconcileError::Desired(_)) {
            return;
        }
        let last = self.queue().last.clone();
        let mut companions = last.map(|last| last.companions).unwrap_or_default();
        companions.iter_mut().for_each(|companion| companion.settled = true);
        self.metrics.reconciled(None, took);
        self.publish(self.store.seen().latest, vec![error.chain()], companions);
    }

    fn publish(
        &self,
        observed_generation: Generation,
        problems: Vec<String>,
        companions: Vec<CompanionStatus>,
    ) {
        let inputs = self.store.inputs();
        let seen = self.store.seen().inputs.clone();
        let current = seen.unwrap_or_else(|| inputs.current());
        let report = StatusReport {
            version: VERSION,
            leader: Some(self.leader.clone()),
            observed_generation,
            inputs: InputsReport {
                digest: current.digest,
                catalogs: inputs.files(),
                problem: current.problem,
            },
            problems,
            companions,
        };
        let mut queue = self.queue();
        if queue.last.as_ref() == Some(&report) {
            // One that could not be written is tried again.
            if queue.is_due {
                self.changed.notify_one();
            }
            return;
        }
        let before = queue.last.replace(report.clone());
        queue.is_due = true;
        let changed = changed(&mut queue.outages, before.as_ref(), &report);
        drop(queue);
        changed.into_iter().for_each(|event| self.emit(event));
        if let Some(before) = before {
            self.inputs_changed(&before.inputs, report.inputs);
        }
        self.changed.notify_one();
    }

    fn inputs_changed(&self, before: &InputsReport, now: InputsReport) {
        if before.digest != now.digest {
            self.leader_event("inputs-changed", None);
        }
        if let Some(problem) = now.problem.filter(|it| before.problem.as_ref() != Some(it)) {
            self.leader_event("inputs-refused", Some(problem.message));
        }
    }

    /// Writes what waits to be written.
    pub(crate) async fn flush(&self) {
        let _one_at_a_time = self.writing.lock().await;
        let (events, status) = {
            let mut queue = self.queue();
            let is_due = std::mem::take(&mut queue.is_due);
            (std::mem::take(&mut queue.events), queue.last.clone().filter(|_| is_due))
        };
        if events.is_empty() && status.is_none() {
            return;
        }
        let (dir, inputs) = (self.store.dir().to_owned(), Arc::clone(self.store.inputs()));
        let attempt = "publish the status";
        let written = blocking::run(attempt, move || {
            let events: Vec<_> = events.into_iter().map(|event| with_copy(event, &dir)).collect();
            let written = write(&dir, &events, status.as_ref());
            let kept = inputs.persist();
            written.and(kept).map_err(failed_to(attempt))
        });
        let error = written.await.err();
        let mut queue = self.queue();
        if let Some(error) = error.as_ref().filter(|_| !queue.complained) {
            warn!("{}", error.chain());
        }
        queue.complained = error.is_some();
        queue.is_due |= error.is_some();
    }
}

/// Returns the events of the companions whose health is another than `before`; of those that are ready again with how
/// long they were not. A companion that is being installed is not repaired.
fn changed(
    outages: &mut BTreeMap<CompanionName, Instant>,
    before: Option<&StatusReport>,
    now: &StatusReport,
) -> Vec<EventRecord> {
    let before = before.iter().flat_map(|report| &report.companions);
    let before: BTreeMap<_, _> = before.map(|status| (&status.name, status.health)).collect();
    outages.retain(|name, _| before.contains_key(name));
    let is_changed = |status: &&CompanionStatus| before.get(&status.name) != Some(&status.health);
    let event = |status: &CompanionStatus| {
        let name = &status.name;
        let repaired = match status.health {
            Health::Ready => outages.remove(name).map(|since| milliseconds(since.elapsed())),
            _ => None,
        };
        if before.get(name) == Some(&Health::Ready) {
            outages.insert(name.clone(), Instant::now());
        }
        let message = (!status.why.is_empty()).then(|| status.why.join("; "));
        let health = status.health.to_string();
        EventRecord { message, took: repaired, ..record(EventKind::State, Some(name), &health) }
    };
    now.companions.iter().filter(is_changed).map(event).collect()
}

/// Adds the copy of the edited file to the event of its replacement.
fn with_copy(mut event: EventRecord, dir: &Path) -> EventRecord {
    let is_edit = event.reason == reason_word(&Reason::UnitFileDrifted);
    if let (Some(name), Some(message), EventKind::Done, true) =
        (&event.companion, &mut event.message, event.kind, is_edit)
        && let Some(copy) = edited_in(dir, name).unwrap_or_default().last()
    {
        message.push_str(&format!("; the edited file is saved as {}", copy.display()));
    }
    event
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn write(path: &Path, events: &[EventRecord], status: Option<&StatusReport>) -> DirResult<()> {
    let dir = Dir::create(path, 0o700, Trust::Owned)?;
    if !events.is_empty() {
        append(&dir, events)?;
    }
    let Some(status) = status else { return Ok(()) };
    let bytes = serde_json::to_vec(status).unwrap_or_default();
    dir.write_unless_unmanaged(STATUS_FILE, &bytes, 0o600)
}

/// Adds `events` to their file; where it becomes too large, its older half goes.
fn append(dir: &Dir, events: &[EventRecord]) -> DirResult<()> {
    let mut lines = Vec::new();
    for event in events {
        lines.extend(serde_json::to_vec(event).unwrap_or_default());
        lines.push(b'\n');
    }
    let size = dir.append(EVENTS_FILE, &lines, 0o600)?;
    if size < EVENTS_LIMIT {
        return Ok(());
    }
    let contents = dir.read(EVENTS_FILE, 2 * EVENTS_LIMIT)?.map(|it| it.bytes).unwrap_or_default();
    let half = contents.len().saturating_sub(EVENTS_LIMIT / 2);
    let newer = contents.get(half..).unwrap_or_default();
    let whole = newer.iter().position(|byte| *byte == b'\n').map_or(newer.len(), |at| at + 1);
    dir.write_unless_unmanaged(EVENTS_FILE, newer.get(whole..).unwrap_or_default(), 0o600)
}
