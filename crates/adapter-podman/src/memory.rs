//! What podman said, kept in a file so that the next process need not ask again.
//!
//! ```text
//!  {"form": 1, "since": …, "basis": {program, environment, settings},      the file `podman.json`
//!   "version": "5.4.2", "store": {"info": …, "platforms": …, "listing": …}}
//! ```
//!
//! An answer is believed only while all that it depends on is the very same: the [`Basis`], and for a
//! listing of images the state of the store besides. So a file that is old, damaged, of another form
//! or somebody else's costs one question and is replaced; it is never an error, and neither is a disk
//! that cannot be written to. Whoever only looks may write here: there is no lock, since each writer
//! replaces the file whole with what it was told itself. Nothing secret is kept.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use durable_dir::{Dir, DirError, Trust};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::command::Podman;
use crate::image_provider::RememberedStore;

mod basis;

pub(crate) use basis::Basis;

const FILE: &str = "podman.json";

/// The most that is read or written, in bytes.
const LIMIT: usize = 1024 * 1024;

/// What the fields mean; another number is not read.
const FORM: u32 = 1;

/// How long an answer is believed: a program may be a script that starts another one, and a setting
/// may come from somewhere that is not known here.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What podman said on one basis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    form: u32,
    /// When the first of the answers was asked for; whole, since it is compared with files' times.
    pub(crate) since: SystemTime,
    basis: Basis,
    /// Podman's version.
    pub(crate) version: Option<String>,
    /// What it said of its store.
    pub(crate) store: Option<RememberedStore>,
}

impl Record {
    fn new(basis: Basis, asked: SystemTime) -> Self {
        Self { form: FORM, since: asked, basis, version: None, store: None }
    }

    fn stands_on(&self, basis: &Basis, now: SystemTime) -> bool {
        let age = now.duration_since(self.since);
        self.basis == *basis && age.is_ok_and(|age| age < LIFETIME)
    }

    /// The form on disk; without the listing when that is what makes it too large.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, ForgetReason> {
        let whole = serde_json::to_vec(self)?;
        if whole.len() <= LIMIT {
            return Ok(whole);
        }
        let mut short = self.clone();
        if let Some(store) = &mut short.store {
            store.listing = None;
        }
        let short = serde_json::to_vec(&short)?;
        if short.len() <= LIMIT { Ok(short) } else { Err(ForgetReason::TooMuch) }
    }
}

/// Why nothing could be recalled, or kept. For the log alone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgetReason {
    #[error(transparent)]
    Dir(#[from] DirError),
    #[error("it is no record of podman's answers")]
    Form(#[from] serde_json::Error),
    #[error("it is of form {0}, and {FORM} is known")]
    OtherForm(u32),
    #[error("others own it or may write to it")]
    Foreign,
    #[error("it has more than {LIMIT} bytes")]
    TooMuch,
}

/// The memory of one directory.
#[derive(Debug)]
pub(crate) struct Memory {
    dir: PathBuf,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    was_read: bool,
    record: Option<Record>,
    is_unwritten: bool,
}

impl Memory {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, slot: Mutex::default() }
    }

    async fn read(&self, slot: &mut Slot) {
        if slot.was_read {
            return;
        }
        let dir = self.dir.clone();
        match tokio::task::spawn_blocking(move || read(&dir)).await {
            Ok(Ok(record)) => slot.record = record,
            Ok(Err(reason)) => tracing::debug!(%reason, "`{FILE}` is not used"),
            Err(error) => tracing::debug!(%error, "`{FILE}` was not read"),
        }
        slot.was_read = true;
    }
}

impl Podman {
    /// What answers depend on now; `None` without a memory, or when it cannot be told.
    pub(crate) fn basis(&self) -> Option<Basis> {
        self.memory()?;
        Basis::of(self.program().ok()?, self.environment())
    }

    /// What `part` finds in what was said on `basis`.
    pub(crate) async fn recall<T>(
        &self,
        basis: Option<&Basis>,
        part: impl FnOnce(&Record) -> Option<T>,
    ) -> Option<T> {
        let (memory, basis) = (self.memory()?, basis?);
        let mut slot = memory.slot.lock().await;
        memory.read(&mut slot).await;
        part(slot.record.as_ref().filter(|record| record.stands_on(basis, SystemTime::now()))?)
    }

    /// Notes with `note` what was said since `asked`, the time at which `basis` was taken;
    /// [`keep`](Self::keep) writes it down.
    ///
    /// Not when the basis changed meanwhile, or so shortly before that a further change might have
    /// gone unseen; and not what is as old as no answer is believed.
    pub(crate) async fn remember(
        &self,
        basis: Option<&Basis>,
        asked: SystemTime,
        note: impl FnOnce(&mut Record),
    ) {
        let (Some(memory), Some(basis)) = (self.memory(), basis) else { return };
        if self.basis().as_ref() != Some(basis) || !basis.was_settled(asked, self.settle_time()) {
            return;
        }
        let mut slot = memory.slot.lock().await;
        memory.read(&mut slot).await;
        let now = SystemTime::now();
        let known = slot.record.take().filter(|record| record.stands_on(basis, now));
        let mut record = known.clone().unwrap_or_else(|| Record::new(basis.clone(), asked));
        if !record.stands_on(basis, now) {
            return;
        }
        note(&mut record);
        slot.is_unwritten |= known.as_ref() != Some(&record);
        slot.record = Some(record);
    }

    /// Writes down what was noted, if anything was; a failure is of no consequence.
    pub(crate) async fn keep(&self) {
        let Some(memory) = self.memory() else { return };
        let mut slot = memory.slot.lock().await;
        let Some(record) = slot.record.clone().filter(|_| slot.is_unwritten) else { return };
        let dir = memory.dir.clone();
        match tokio::task::spawn_blocking(move || write(&dir, &record)).await {
            Ok(Ok(())) => slot.is_unwritten = false,
            Ok(Err(reason)) => tracing::debug!(%reason, "`{FILE}` was not written"),
            Err(error) => tracing::debug!(%error, "`{FILE}` was not written"),
        }
    }
}

fn read(dir: &Path) -> Result<Option<Record>, ForgetReason> {
    let dir = match Dir::open(dir, Trust::Owned) {
        Err(DirError::NotFound { .. }) => return Ok(None),
        opened => opened?,
    };
    let Some(contents) = dir.read(FILE, LIMIT)? else { return Ok(None) };
    if !contents.status.is_ours() || contents.status.mode & 0o022 != 0 {
        return Err(ForgetReason::Foreign);
    }
    let record: Record = serde_json::from_slice(&contents.bytes)?;
    match record.form {
        FORM => Ok(Some(record)),
        other => Err(ForgetReason::OtherForm(other)),
    }
}

/// Into a directory that is there: a cache is no reason to make one.
fn write(dir: &Path, record: &Record) -> Result<(), ForgetReason> {
    let dir = Dir::open(dir, Trust::Owned)?;
    let bytes = record.to_bytes()?;
    // Another process may be writing just now: its write then fails as if the disk were full.
    dir.sweep_temporary_files_of(FILE)?;
    Ok(dir.write(FILE, &bytes, 0o600)?)
}

#[cfg(test)]
mod tests;
