//! What a leader publishes in its state directory: `status.json`, which says how everything is, and
//! `events.jsonl`, which says what was done.
//!
//! Both are for people and for the processes that wait; nothing is decided by them, and losing them loses
//! nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use companion_core::status::CompanionStatus;
use durable_dir::{Dir, DirResult, Trust};
use host_files::blocking;
use host_files::errors::failed_to;
use host_files::units::edited_copies;
use serde::{Deserialize, Serialize};

use crate::inputs::{InputProblem, Inputs};
use crate::leader::LeaderInfo;

mod publisher;
mod report;

pub use publisher::Listener;
pub(crate) use publisher::{Publisher, reason_word};

pub(crate) const STATUS_FILE: &str = "status.json";
pub(crate) const EVENTS_FILE: &str = "events.jsonl";

/// The directory of the copies of edited units.
pub(crate) const EDITED_DIR: &str = "edited";

/// The version of the form of both files.
const VERSION: u32 = 1;

/// The most bytes of [`STATUS_FILE`].
const STATUS_LIMIT: usize = 4 * 1024 * 1024;

/// The bytes of [`EVENTS_FILE`] from which on its older half goes: 1 MiB, some 4,000 events.
const EVENTS_LIMIT: usize = 1024 * 1024;

/// How everything is, as a leader last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The version of this form.
    pub version: u32,
    /// The leader that published it; nothing in a report that nobody published.
    pub leader: Option<LeaderInfo>,
    /// The generation of the last intent that it was decided with.
    pub observed_generation: Generation,
    /// The inputs that it was decided with.
    pub inputs: InputsReport,
    /// What keeps the leader from deciding about some or all companions, for people.
    pub problems: Vec<String>,
    /// The companions that are desired, being removed, or ours on the host.
    pub companions: Vec<CompanionStatus>,
}

/// The inputs of a leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputsReport {
    /// A digest of the catalog in force, the options and the version of the program.
    pub digest: Fingerprint,
    /// The catalog files, whether they are there or not.
    pub catalogs: Vec<PathBuf>,
    /// Why the files are not what is in force.
    pub problem: Option<InputProblem>,
}

/// Something that a leader did or saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// When, in milliseconds since 1970 by the wall clock.
    pub at: u64,
    /// What kind of event it is.
    pub kind: EventKind,
    /// The companion; nothing for what concerns all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub companion: Option<CompanionName>,
    /// What was done, such as `write-unit`; for a state the state.
    pub action: String,
    /// Why, for people; of a failure its cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The reason in one word, such as `unit-file-missing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took, in milliseconds; of a companion that is ready again, how long it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<u64>,
    /// The intent that it serves, and who recorded that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A step was started.
    Started,
    /// A step was done.
    Done,
    /// A step was not needed any more when its turn came.
    NotNeeded,
    /// A step failed.
    Failed,
    /// A companion entered a state.
    State,
    /// The leader or its inputs changed.
    Leader,
}

impl StatusReport {
    /// A report of `companions` that nobody published, because nobody leads.
    pub fn unpublished(
        companions: Vec<CompanionStatus>,
        inputs: &Inputs,
        problem: Option<InputProblem>,
    ) -> Self {
        let digest = inputs.current().digest;
        Self {
            version: VERSION,
            leader: None,
            observed_generation: Generation::default(),
            inputs: InputsReport { digest, catalogs: inputs.files(), problem },
            problems: Vec::new(),
            companions,
        }
    }

    /// The status of `name`.
    pub fn companion(&self, name: &CompanionName) -> Option<&CompanionStatus> {
        self.companions.iter().find(|status| status.name == *name)
    }

    /// Whether the leader has seen the intent of `generation`, and nothing more comes of it by itself
    /// within moments for any of `names`, or for any companion at all.
    pub fn has_settled(
        &self,
        generation: Generation,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> bool {
        let concerns = |status: &&CompanionStatus| names.is_none_or(|it| it.contains(&status.name));
        self.observed_generation >= generation
            && self.companions.iter().filter(concerns).all(|status| status.settled)
    }
}

/// Reads what the leader of the state directory `dir` published last; `None` when none ever did.
///
/// # Errors
/// `Invalid` for a file that cannot be understood or is of a newer program, `Denied` and `Conflict` for
/// one that is not a leader's.
pub async fn read_status(dir: &Path) -> PortResult<Option<StatusReport>> {
    let path = dir.to_owned();
    blocking::run(READ_STATUS, move || status_in(&path)).await
}

/// The generation that the last leader had observed; 0 when that cannot be read.
pub(crate) fn published_generation(dir: &Path) -> Generation {
    let report = status_in(dir).ok().flatten();
    report.map(|report| report.observed_generation).unwrap_or_default()
}

const READ_STATUS: &str = "read the published status";

fn status_in(path: &Path) -> PortResult<Option<StatusReport>> {
    let contents = contents_in(path, STATUS_FILE, STATUS_LIMIT).map_err(failed_to(READ_STATUS))?;
    let Some(contents) = contents else { return Ok(None) };
    let invalid = |why: String| {
        let file = path.join(STATUS_FILE);
        let message = format!("the published status {} is invalid: {why}", file.display());
        PortError::new(PortErrorKind::Invalid, message)
    };
    let report: StatusReport = serde_json::from_slice(&contents)
        .map_err(|error| invalid(format!("line {}, column {}", error.line(), error.column())))?;
    if report.version != VERSION {
        return Err(invalid(format!(
            "its version is {}, but this program supports version {VERSION}",
            report.version
        )));
    }
    Ok(Some(report))
}

/// The events of a state directory, read from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventCursor {
    offset: usize,
}

impl EventCursor {
    /// The place after the last event that is there now.
    ///
    /// # Errors
    /// As [`read_status`].
    pub async fn at_end(dir: &Path) -> PortResult<Self> {
        Ok(Self { offset: read_events_file(dir).await?.len() })
    }

    /// The events after this place, which moves behind the last of them. A line that cannot be
    /// understood, such as one that a crash cut off, is passed over.
    ///
    /// # Errors
    /// As [`read_status`].
    pub async fn next(&mut self, dir: &Path) -> PortResult<Vec<EventRecord>> {
        let bytes = read_events_file(dir).await?;
        // A shorter file is one whose older half went: what it held was seen.
        let start = self.offset.min(bytes.len());
        let fresh = bytes.get(start..).unwrap_or_default();
        let whole = fresh.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.offset = start + whole;
        let lines = fresh.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

/// All events of the state directory `dir` that are still kept, the oldest first.
///
/// # Errors
/// As [`read_status`].
pub async fn read_events(dir: &Path) -> PortResult<Vec<EventRecord>> {
    EventCursor::default().next(dir).await
}

/// The copies of unit files that were edited and replaced, in the state directory `dir`: those of `name`, the oldest first.
///
/// # Errors
/// As [`read_status`].
pub async fn edited_units(dir: &Path, name: &CompanionName) -> PortResult<Vec<PathBuf>> {
    let (dir, name) = (dir.to_owned(), name.clone());
    blocking::run("list the edited units", move || edited_in(&dir, &name)).await
}

pub(crate) fn edited_in(dir: &Path, name: &CompanionName) -> PortResult<Vec<PathBuf>> {
    edited_copies(&dir.join(EDITED_DIR), &format!("{name}.container"))
}

async fn read_events_file(dir: &Path) -> PortResult<Vec<u8>> {
    let path = dir.to_owned();
    let attempt = "read the events";
    blocking::run(attempt, move || {
        let contents = contents_in(&path, EVENTS_FILE, 2 * EVENTS_LIMIT);
        Ok(contents.map_err(failed_to(attempt))?.unwrap_or_default())
    })
    .await
}

/// Returns the bytes of the file `name` of the state directory `path`; `None` if either does not exist.
pub(crate) fn contents_in(path: &Path, name: &str, limit: usize) -> DirResult<Option<Vec<u8>>> {
    let Some(dir) = Dir::open_existing(path, Trust::Owned)? else { return Ok(None) };
    Ok(dir.read(name, limit)?.map(|contents| contents.bytes))
}

/// Now, by the wall clock.
pub(crate) fn wall_clock() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
