//! `DesiredStore` on two files: the desired state, and the lock of those who change it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::desired::{DesiredState, Generation};
use companion_core::ports::{DesiredStore, PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, DirError, LockFile, Trust};
use host_files::blocking;
use host_files::errors::failed_to;
use host_files::watch::{Place, Watch};
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::inputs::{Current, Inputs};
use crate::published::published_generation;
use crate::record::{RECORD_LIMIT, Record};

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
    seen: Arc<Mutex<Seen>>,
    watch: Arc<Watch>,
}

/// What a reconcile began with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The generation of the last intent.
    pub(crate) latest: Generation,
    /// The intents: generation and words.
    intents: BTreeMap<Generation, String>,
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

    /// The intent of `generation`, for people, if it was the last one for its app when the desired state
    /// was last read.
    pub(crate) fn intent(&self, generation: Generation) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).intents.get(&generation).cloned()
    }

    /// What was read when the desired state was last loaded.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn read(&self) -> PortResult<Record> {
        let dir = self.dir.clone();
        Ok(blocking::run(READ, move || read(&dir)).await?.unwrap_or_default())
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
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
                latest: record.generation(),
                intents: record.intents(),
                inputs: Some(current.clone()),
            };
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
    let dir = path.to_owned();
    let attempt = "lock the desired state";
    let (mut file, mut held) = blocking::run(attempt, move || {
        let dir = Dir::create(&dir, 0o700, Trust::Owned).map_err(failed_to(attempt))?;
        try_lock(LockFile::open(&dir, LOCK_FILE, 0o600).map_err(failed_to(attempt))?)
    })
    .await?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    // The kernel has no queue that an asynchronous caller could wait in.
    while !held {
        if Instant::now() >= deadline {
            let message = format!(
                "another process has held the lock of {} for {} s",
                path.join(RECORD_FILE).display(),
                LOCK_TIMEOUT.as_secs()
            );
            return Err(PortError::new(PortErrorKind::Transient, message));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        (file, held) = blocking::run(attempt, move || try_lock(file)).await?;
    }
    Ok(file)
}

fn try_lock(mut file: LockFile) -> PortResult<(LockFile, bool)> {
    let held = file.try_lock().map_err(failed_to("lock the desired state"))?;
    Ok((file, held))
}

/// Reads the desired state; `None` when nothing was ever recorded.
fn read(path: &Path) -> PortResult<Option<Record>> {
    let dir = match Dir::open(path, Trust::Owned) {
        Ok(dir) => dir,
        Err(DirError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(failed_to(READ)(error)),
    };
    let contents = dir.read(RECORD_FILE, RECORD_LIMIT).map_err(failed_to(READ))?;
    let Some(contents) = contents else { return Ok(None) };
    Record::from_bytes(&contents.bytes).map(Some).map_err(|why| {
        let file = path.join(RECORD_FILE);
        let message = format!("the desired state {} is invalid: {why}", file.display());
        PortError::new(PortErrorKind::Invalid, message)
    })
}

fn write(path: &Path, record: &Record) -> PortResult<()> {
    let attempt = "write the desired state";
    let bytes = record.to_bytes().map_err(|error| {
        PortError::new(PortErrorKind::Invalid, format!("failed to {attempt}")).with_source(error)
    })?;
    if bytes.len() > RECORD_LIMIT {
        let message = format!(
            "failed to {attempt}, which has {} bytes and may have {RECORD_LIMIT}",
            bytes.len()
        );
        return Err(PortError::new(PortErrorKind::Invalid, message));
    }
    let dir = Dir::create(path, 0o700, Trust::Owned).map_err(failed_to(attempt))?;
    dir.sweep_temporary_files_of(|name| name == RECORD_FILE).map_err(failed_to(attempt))?;
    dir.write(RECORD_FILE, &bytes, 0o600).map_err(failed_to(attempt))
}

#[cfg(test)]
mod tests {
    use companion_core::model::companion::CompanionName;

    use super::*;
    use crate::app::AppId;
    use crate::leader::Settings;
    use crate::published::StatusReport;

    fn store(dir: &Path) -> RecordStore {
        RecordStore::new(dir.join("state"), Arc::new(Catalog::builtin()))
    }

    async fn install(store: &RecordStore, app: &str) {
        let app = AppId::new(app).unwrap();
        let intent = move |record: &mut Record, catalog: &Catalog| {
            (true, record.install(&app, "a test", catalog))
        };
        store.update(intent).await.unwrap();
    }

    #[tokio::test]
    async fn intent_is_visible_to_another_process_immediately() {
        let dir = tempfile::tempdir().unwrap();
        install(&store(dir.path()), "lnd").await;
        let desired = store(dir.path()).load().await.unwrap();
        let names: Vec<_> =
            desired.present().map(|(name, _)| name).map(CompanionName::as_str).collect();
        assert_eq!(names, ["archy-lnd-ui"]);
    }

    #[test]
    fn desired_state_and_every_catalog_are_watched() {
        let settings = Settings {
            catalogs: vec!["/etc/companion/a.toml".into(), "/home/archy/b.toml".into()],
            ..Settings::default()
        };
        let inputs = Arc::new(Inputs::new(settings, None, "/state"));
        let watched = RecordStore::with_inputs("/state", inputs).places();
        let files = ["/state/desired.json", "/etc/companion/a.toml", "/home/archy/b.toml"];
        let expected: Vec<_> =
            files.iter().filter_map(|file| Place::file(Path::new(file))).collect();
        assert_eq!(watched, expected);
    }

    #[tokio::test]
    async fn desired_state_is_empty_at_first_and_reads_create_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(store(dir.path()).load().await.unwrap(), DesiredState::default());
        assert!(!dir.path().join("state").exists());
    }

    #[tokio::test]
    async fn a_damaged_record_is_an_error_and_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        install(&store, "lnd").await;
        let file = dir.path().join("state/desired.json");
        std::fs::write(&file, b"half a rec").unwrap();
        let error = store.load().await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Invalid);
        assert!(error.to_string().contains("desired.json"), "{error}");
        let app = AppId::new("lnd").unwrap();
        let intent = move |record: &mut Record, catalog: &Catalog| {
            (true, record.remove(&app, "a test", catalog))
        };
        assert!(store.update(intent).await.is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"half a rec");
    }

    #[tokio::test]
    async fn lock_is_free_again_after_an_intent_that_failed() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        install(&store, "lnd").await;
        std::fs::write(dir.path().join("state/desired.json"), b"half a rec").unwrap();
        assert!(store.update(|_, _| (false, ())).await.is_err());
        let state = Dir::open(store.dir(), Trust::Owned).unwrap();
        let mut lock = LockFile::open(&state, LOCK_FILE, 0o600).unwrap();
        assert!(lock.try_lock().unwrap());
    }

    #[tokio::test]
    async fn intent_of_a_cancelled_caller_holds_the_lock_until_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (store, other) = (store(dir.path()), store(dir.path()));
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let app = AppId::new("lnd").unwrap();
        let intent = tokio::spawn(async move {
            let change = move |record: &mut Record, catalog: &Catalog| {
                begun.send(()).unwrap();
                may_end.recv().unwrap();
                (true, record.install(&app, "a test", catalog))
            };
            store.update(change).await
        });
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        intent.abort();
        assert!(intent.await.unwrap_err().is_cancelled());
        let state = Dir::open(other.dir(), Trust::Owned).unwrap();
        let mut lock = LockFile::open(&state, LOCK_FILE, 0o600).unwrap();
        assert!(!lock.try_lock().unwrap());
        end.send(()).unwrap();
        let _lock = super::lock(other.dir()).await.unwrap();
        assert_eq!(other.load().await.unwrap().present().count(), 1);
    }

    #[tokio::test]
    async fn sweep_removes_temporary_files_and_keeps_the_desired_state() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        install(&store, "lnd").await;
        for left in [".desired.json.abcdefgh.tmp", ".host-key.abcdefgh.tmp"] {
            std::fs::write(dir.path().join("state").join(left), b"half").unwrap();
        }
        assert_eq!(store.sweep().await.unwrap(), 2);
        assert_eq!(store.sweep().await.unwrap(), 0);
        assert_eq!(store.load().await.unwrap().present().count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn sweep_waits_for_an_intent_that_is_being_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        install(&store, "lnd").await;
        let file = dir.path().join("state/.desired.json.abcdefgh.tmp");
        std::fs::write(&file, b"half").unwrap();
        let state = Dir::open(store.dir(), Trust::Owned).unwrap();
        let mut lock = LockFile::open(&state, LOCK_FILE, 0o600).unwrap();
        assert!(lock.try_lock().unwrap());
        assert_eq!(store.sweep().await.unwrap_err().kind(), PortErrorKind::Transient);
        assert!(file.exists());
        drop(lock);
        assert_eq!(store.sweep().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn intents_after_a_lost_file_are_newer_than_what_a_leader_published() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        install(&store, "lnd").await;
        let mut report = StatusReport::unpublished(Vec::new(), store.inputs(), None);
        report.observed_generation = Generation(50);
        let state = Dir::open(store.dir(), Trust::Owned).unwrap();
        state.write("status.json", &serde_json::to_vec(&report).unwrap(), 0o600).unwrap();
        state.remove("desired.json").unwrap();
        install(&store, "lnd").await;
        assert_eq!(store.load().await.unwrap().latest, Generation(51));
    }

    #[tokio::test]
    async fn desired_state_larger_than_can_be_read_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        install(&store, "lnd").await;
        let change = |record: &mut Record, catalog: &Catalog| {
            for number in 0..8000 {
                let app = AppId::new(format!("app-{number}")).unwrap();
                record.remove(&app, &"x".repeat(128), catalog);
            }
            (true, ())
        };
        assert_eq!(store.update(change).await.unwrap_err().kind(), PortErrorKind::Invalid);
        assert_eq!(store.load().await.unwrap().present().count(), 1);
    }

    #[tokio::test]
    async fn state_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        install(&store(dir.path()), "lnd").await;
        let mode = |path: &str| {
            std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode("state"), 0o700);
        assert_eq!(mode("state/desired.json"), 0o600);
        assert_eq!(mode("state/lock"), 0o600);
    }
}
