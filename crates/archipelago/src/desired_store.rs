//! `DesiredStore` on two files: the desired state, and the lock of those who change it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::desired::{DesiredState, Generation};
use companion_core::ports::{DesiredStore, PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, LockFile, Trust};
use host_files::blocking;
use host_files::errors::failed_to;
use host_files::watch::{Place, Watch};
use tokio::time::Instant;

use crate::app::AppId;
use crate::catalog::Catalog;
use crate::inputs::{Current, Inputs};
use crate::published::{contents_in, published_generation};
use crate::record::{RECORD_LIMIT, Record};

mod delete;

const RECORD_FILE: &str = "desired.json";
const LOCK_FILE: &str = "lock";
const READ: &str = "read the desired state";

/// How long another process may keep the lock of the desired state: it is held for one read and one
/// write of a small file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Keeps the desired state in a state directory of mode 0700, and reads it with the inputs of its process.
#[derive(Clone)]
pub struct RecordStore {
    dir: PathBuf,
    inputs: Arc<Inputs>,
    /// What was read at the last [`load`](DesiredStore::load).
    seen: Arc<Mutex<Arc<Seen>>>,
    watch: Arc<Watch>,
}

/// What a reconcile started with.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The generation of the last intent.
    pub(crate) latest: Generation,
    /// The last intent for each app, for people, by its generation.
    pub(crate) intents: BTreeMap<Generation, String>,
    /// The inputs in force.
    pub(crate) inputs: Option<Current>,
}

impl RecordStore {
    /// The newest version of the desired state's file that this program reads.
    pub const VERSION: u32 = crate::record::VERSION;

    /// A store in `dir`, which is made when it is first written to, with a catalog that never changes.
    pub fn new(dir: impl Into<PathBuf>, catalog: Arc<Catalog>) -> Self {
        Self::with_inputs(dir, Arc::new(Inputs::fixed(catalog)))
    }

    /// A store in `dir` with a catalog that is read again when it changes.
    pub fn with_inputs(dir: impl Into<PathBuf>, inputs: Arc<Inputs>) -> Self {
        Self { dir: dir.into(), inputs, seen: Arc::default(), watch: Arc::default() }
    }

    /// The state directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The files whose changes cause a reconcile: the desired state and the catalogs.
    fn places(&self) -> Vec<Place> {
        let files = [self.dir.join(RECORD_FILE)].into_iter().chain(self.inputs.files());
        files.filter_map(|file| Place::file(&file)).collect()
    }

    /// What the desired state is read with.
    pub fn inputs(&self) -> &Arc<Inputs> {
        &self.inputs
    }

    /// What was read when the desired state was last loaded.
    pub(crate) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The apps that are recorded as installed.
    ///
    /// # Errors
    /// As [`load`](DesiredStore::load).
    pub async fn installed(&self) -> PortResult<BTreeSet<AppId>> {
        let dir = self.dir.clone();
        let record = blocking::run(READ, move || read(&dir)).await?.unwrap_or_default();
        Ok(record.installed().cloned().collect())
    }

    /// Reads the catalog if it changed.
    ///
    /// # Errors
    /// `Invalid` when no good one was ever read: then it is not known which apps there are.
    pub(crate) async fn known_catalog(&self) -> PortResult<Arc<Catalog>> {
        let inputs = Arc::clone(&self.inputs);
        blocking::run("read the catalog", move || catalog_of(inputs.refresh())).await
    }

    /// Removes the temporary files that crashes left in the state directory. The caller leads, and publishes
    /// nothing meanwhile; a process that records an intent is waited for, so that its file stays.
    pub(crate) async fn sweep(&self) -> PortResult<usize> {
        let lock = lock(&self.dir).await?;
        let path = self.dir.clone();
        let attempt = "sweep the state directory";
        blocking::run(attempt, move || {
            let _until_done = lock;
            let dir = Dir::open(&path, Trust::Owned).map_err(failed_to(attempt))?;
            dir.sweep_temporary_files().map_err(failed_to(attempt))
        })
        .await
    }

    /// Changes the desired state under its lock, and writes it durably if `change` says so; returns its
    /// generation, too. Where no good catalog was ever read, `change` is shown one without companions.
    ///
    /// A change whose caller goes away goes on to its end, and the lock with it: nobody else comes
    /// between its reading and its writing.
    pub(crate) async fn update<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Record, &Catalog) -> (bool, T) + Send + 'static,
    ) -> PortResult<(Generation, T)> {
        let lock = lock(&self.dir).await?;
        let (path, inputs) = (self.dir.clone(), Arc::clone(&self.inputs));
        blocking::run("change the desired state", move || {
            let _until_done = lock;
            inputs.refresh();
            let catalog = inputs.catalog();
            let mut record = match read(&path)? {
                Some(record) => record,
                None => Record::after(published_generation(&path)),
            };
            let (changed, value) = change(&mut record, &catalog);
            if changed {
                write(&path, &record)?;
            }
            Ok((record.generation(), value))
        })
        .await
    }
}

/// The catalog in force.
///
/// # Errors
/// `Invalid` when no good one was ever read: then it is not known what is desired.
fn catalog_of(current: Current) -> PortResult<Arc<Catalog>> {
    let Current { catalog, problem, .. } = current;
    catalog.ok_or_else(|| {
        let why = problem.map_or_else(|| "no catalog was read".to_owned(), |it| it.message);
        PortError::new(PortErrorKind::Invalid, why)
    })
}

#[async_trait]
impl DesiredStore for RecordStore {
    async fn load(&self) -> PortResult<DesiredState> {
        let (dir, inputs) = (self.dir.clone(), Arc::clone(&self.inputs));
        let seen = Arc::clone(&self.seen);
        blocking::run(READ, move || {
            let record = read(&dir)?.unwrap_or_default();
            let current = inputs.refresh();
            let (latest, intents) = (record.generation(), record.intents());
            let now = Arc::new(Seen { latest, intents, inputs: Some(current.clone()) });
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
            Ok(record.desired(&*catalog_of(current)?))
        })
        .await
    }

    async fn changed(&self) {
        self.watch.changed(self.places()).await;
    }
}

/// Waits for the lock of the desired state in `path`.
async fn lock(path: &Path) -> PortResult<LockFile> {
    let attempt = "lock the desired state";
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        let dir = path.to_owned();
        let taken = blocking::run(attempt, move || {
            let dir = Dir::create(&dir, 0o700, Trust::Owned).map_err(failed_to(attempt))?;
            LockFile::try_lock(&dir, LOCK_FILE, 0o600).map_err(failed_to(attempt))
        });
        if let Some(lock) = taken.await? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            let file = path.join(RECORD_FILE);
            let (file, limit) = (file.display(), LOCK_TIMEOUT.as_secs());
            let message = format!("another process has held the lock of {file} for {limit} s");
            return Err(PortError::new(PortErrorKind::Transient, message));
        }
        // The kernel has no queue that an asynchronous caller could wait in.
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Reads the desired state; `None` when nothing was ever recorded.
fn read(path: &Path) -> PortResult<Option<Record>> {
    let contents = contents_in(path, RECORD_FILE, RECORD_LIMIT).map_err(failed_to(READ))?;
    let Some(contents) = contents else { return Ok(None) };
    Record::from_bytes(&contents).map(Some).map_err(|why| {
        let file = path.join(RECORD_FILE);
        let message = format!("the desired state {} is invalid: {why}", file.display());
        PortError::new(PortErrorKind::Invalid, message)
    })
}

fn write(path: &Path, record: &Record) -> PortResult<()> {
    let attempt = "write the desired state";
    let invalid = |message| PortError::new(PortErrorKind::Invalid, message);
    let failed = |error| invalid(format!("failed to {attempt}")).with_source(error);
    let bytes = record.to_bytes().map_err(failed)?;
    let size = bytes.len();
    if size > RECORD_LIMIT {
        let rule = format!("which has {size} bytes and may have {RECORD_LIMIT}");
        return Err(invalid(format!("failed to {attempt}, {rule}")));
    }
    let dir = Dir::create(path, 0o700, Trust::Owned).map_err(failed_to(attempt))?;
    dir.sweep_temporary_files_of(|name| name == RECORD_FILE).map_err(failed_to(attempt))?;
    dir.write(RECORD_FILE, &bytes, 0o600).map_err(failed_to(attempt))
}

#[cfg(test)]
mod tests;
