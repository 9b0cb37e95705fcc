//! `Publisher`: writes what a leader reports, as it happens, and nothing when nothing changed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::model::observed::Work;
use companion_core::plan::{Reason, Step};
use companion_core::reconciler::{Event, EventSink, Outcome, Reconcile, ReconcileError};
use companion_core::status::CompanionStatus;
use durable_dir::{Dir, DirResult, Trust};
use host_files::blocking;
use host_files::errors::failed_to;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::report::Reported;
use super::{
    EVENTS_FILE, EVENTS_LIMIT, EventKind, EventRecord, InputsReport, STATUS_FILE, StatusReport,
    VERSION, edited_in, wall_clock,
};
use crate::desired_store::RecordStore;
use crate::leader::LeaderInfo;

/// The most events that wait to be written; a file system that hangs keeps the memory bounded.
const QUEUE_LIMIT: usize = 1000;

/// Who is shown each event at once. It must return at once.
pub type Listener = Arc<dyn Fn(&EventRecord) + Send + Sync>;

/// Publishes the status and the events of one leader.
///
/// It takes events in at once and writes them in a task of its own, so that a slow disk delays nobody.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

/// The task of a [`Publisher`] that writes; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "nothing is written once it is dropped"]
pub struct Publishing {
    _task: AbortOnDropHandle<()>,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Publisher")
    }
}

struct Shared {
    dir: PathBuf,
    leader: LeaderInfo,
    store: RecordStore,
    listener: Option<Listener>,
    queue: Mutex<Queue>,
    changed: Notify,
    /// One write at a time.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Queue {
    events: Vec<EventRecord>,
    status: Option<StatusReport>,
    last: Option<StatusReport>,
    reported: Reported,
    /// The steps that have not ended: since when, and the event of their start.
    started: BTreeMap<Task, (Instant, EventRecord)>,
    complained: bool,
}

/// What is done for a companion; `None` is the reload, which serves all.
type Task = Option<(CompanionName, Work)>;

fn task(step: &Step) -> Task {
    step.companion().map(|name| (name.clone(), step.work))
}

impl Publisher {
    /// A publisher in the state directory of `store`, as `leader`.
    pub fn new(store: RecordStore, leader: LeaderInfo, listener: Option<Listener>) -> Self {
        let shared = Shared {
            dir: store.dir().to_owned(),
            leader,
            store,
            listener,
            queue: Mutex::default(),
            changed: Notify::new(),
            writing: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Writes what is reported from now on, until the returned value is dropped.
    pub fn start(&self) -> Publishing {
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            loop {
                shared.changed.notified().await;
                shared.flush().await;
            }
        });
        Publishing { _task: AbortOnDropHandle::new(task) }
    }

    /// Waits until all that was reported is written.
    pub async fn flush(&self) {
        self.shared.flush().await;
    }

    /// Shows an event of another leader to the listener.
    pub(crate) fn show(&self, event: &EventRecord) {
        if let Some(listener) = &self.shared.listener {
            listener(event);
        }
    }

    /// Reports that the leader started or ended, or that its inputs changed.
    pub fn leader_event(&self, action: &str, message: Option<String>) {
        let event = EventRecord { message, ..record(EventKind::Leader, None, action) };
        self.shared.emit(event);
    }
}

impl EventSink for Publisher {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::StepBegun(step) => self.shared.step_started(step),
            Event::StepEnded(step, outcome) => self.shared.step_ended(step, outcome),
            Event::WorkEnded(name, work, error) => self.shared.work_ended(name, *work, *error),
            Event::Reconciled(Ok(reconcile), _) => self.shared.reconciled(reconcile),
            Event::Reconciled(Err(error), _) => self.shared.not_reconciled(error),
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

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, event: EventRecord) {
        if let Some(listener) = &self.listener {
            listener(&event);
        }
        let mut queue = self.queue();
        if queue.events.len() < QUEUE_LIMIT {
            queue.events.push(event);
        }
        drop(queue);
        self.changed.notify_one();
    }

    fn step_started(&self, step: &Step) {
        let event = self.event(EventKind::Started, step);
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
            Outcome::Begun | Outcome::Skipped => {}
        }
    }

    fn work_ended(&self, name: &CompanionName, work: Work, error: Option<&str>) {
        let kind = if error.is_some() { EventKind::Failed } else { EventKind::Done };
        self.ended(&Some((name.clone(), work)), kind, error);
    }

    fn event(&self, kind: EventKind, step: &Step) -> EventRecord {
        EventRecord {
            message: Some(step.reason.to_string()),
            reason: reason_word(&step.reason),
            intent: self.store.intent(step.generation),
            ..record(kind, step.companion(), step.action.verb())
        }
    }

    /// Reports the end of `task`; nothing if its start is unknown.
    fn ended(&self, task: &Task, kind: EventKind, error: Option<&str>) {
        let Some((since, started)) = self.queue().started.remove(task) else { return };
        let message = error.map(str::to_owned).or(started.message);
        let (at, took) = (milliseconds(wall_clock()), Some(milliseconds(since.elapsed())));
        self.emit(EventRecord { at, kind, message, took, ..started });
    }

    fn reconciled(&self, reconcile: &Reconcile) {
        let problems = reconcile
            .observed
            .listing_error
            .iter()
            .map(|error| format!("failed to list the managed units: {error}"));
        let violations = reconcile.violations.iter().map(|it| format!("the plan violates {it}"));
        let problems = problems.chain(violations).collect();
        let companions = self.queue().reported.companions(reconcile);
        self.publish(reconcile.desired.latest, problems, companions);
    }

    /// A leader that cannot read what is desired publishes that, and leaves the companions as it saw them:
    /// nothing comes of them until that changes.
    fn not_reconciled(&self, error: &ReconcileError) {
        match error {
            ReconcileError::Led { .. } | ReconcileError::Leadership(_) => {}
            ReconcileError::Desired(_) => {
                let last = self.queue().last.clone();
                let mut companions = last.map(|last| last.companions).unwrap_or_default();
                companions.iter_mut().for_each(|companion| companion.settled = true);
                self.publish(self.store.seen().latest, vec![error.chain()], companions);
            }
        }
    }

    fn publish(
        &self,
        observed_generation: Generation,
        problems: Vec<String>,
        companions: Vec<CompanionStatus>,
    ) {
        let inputs = self.store.inputs();
        let current = self.store.seen().inputs.unwrap_or_else(|| inputs.current());
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
            return;
        }
        let before = queue.last.replace(report.clone());
        let changed: Vec<_> =
            queue.reported.changed(&report.companions).into_iter().map(state).collect();
        queue.status = Some(report.clone());
        drop(queue);
        changed.into_iter().for_each(|event| self.emit(event));
        self.inputs_changed(before.as_ref(), &report);
        self.changed.notify_one();
    }

    fn inputs_changed(&self, before: Option<&StatusReport>, now: &StatusReport) {
        let Some(before) = before.filter(|before| before.inputs != now.inputs) else { return };
        let event =
            |action, message| EventRecord { message, ..record(EventKind::Leader, None, action) };
        if before.inputs.digest != now.inputs.digest {
            self.emit(event("inputs-changed", None));
        }
        match &now.inputs.problem {
            Some(problem) if before.inputs.problem.as_ref() != Some(problem) => {
                self.emit(event("inputs-refused", Some(problem.message.clone())));
            }
            Some(_) | None => {}
        }
    }

    /// Writes what waits to be written.
    async fn flush(&self) {
        let _one_at_a_time = self.writing.lock().await;
        let (events, status) = {
            let mut queue = self.queue();
            (std::mem::take(&mut queue.events), queue.status.take())
        };
        if events.is_empty() && status.is_none() {
            return;
        }
        let (dir, inputs) = (self.dir.clone(), Arc::clone(self.store.inputs()));
        let attempt = "publish the status";
        let written = blocking::run(attempt, move || {
            let events: Vec<_> = events.into_iter().map(|event| with_copy(event, &dir)).collect();
            let written = write(&dir, &events, status.as_ref());
            let kept = inputs.persist();
            written.and(kept).map_err(failed_to(attempt))
        });
        let result = written.await;
        let mut queue = self.queue();
        match result {
            Ok(()) => queue.complained = false,
            Err(error) => {
                if !queue.complained {
                    warn!("{}", chain(&error));
                }
                queue.complained = true;
                // It is written with the next change of anything.
                queue.last = None;
            }
        }
    }
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

fn state((status, repaired): (&CompanionStatus, Option<Duration>)) -> EventRecord {
    let message = (!status.why.is_empty()).then(|| status.why.join("; "));
    let took = repaired.map(milliseconds);
    let kind = EventKind::State;
    EventRecord { message, took, ..record(kind, Some(&status.name), &status.health.to_string()) }
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
