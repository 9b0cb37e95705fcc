//! `DesiredStore` on two files: the record of wishes, and the lock of the host.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::desired::DesiredState;
use companion_core::ports::{DesiredStore, HostLock, PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, DirError, LockFile, Trust};
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::record::{RECORD_LIMIT, Record};

const RECORD_FILE: &str = "desired.json";
const LOCK_FILE: &str = "lock";

/// How long another process may hold the host before a caller gives up: 6 minutes.
///
/// A round holds it for its reads and short effects. On a host whose bus hangs one of them comes to the
/// reconciler's limits (210 s for a reload, 60 s for each other effect), and a caller that waits for
/// less would fail for the slowness of a round that still works. Work that takes longer holds no lock.
const PATIENCE: Duration = Duration::from_secs(6 * 60);
const POLL: Duration = Duration::from_millis(20);

/// How long the file system may take for one thing; a local one takes milliseconds.
const FILE_LIMIT: Duration = Duration::from_secs(30);

/// Keeps the record of wishes in a state directory of mode 0700.
#[derive(Clone)]
pub struct RecordStore {
    dir: PathBuf,
    catalog: Arc<Catalog>,
}

impl RecordStore {
    /// A store in `dir`, which is made when it is first written to.
    pub fn new(dir: impl Into<PathBuf>, catalog: Arc<Catalog>) -> Self {
        Self { dir: dir.into(), catalog }
    }

    /// The state directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The catalog that the record is read with.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) async fn read(&self) -> PortResult<Record> {
        let dir = self.dir.clone();
        blocking("read the record of wishes", move || read(&dir)).await
    }

    /// Removes the temporary files that crashes left in the state directory; the caller holds the lock.
    ///
    /// The one file that is written without it, what podman said, may lose a write by it, which costs
    /// asking podman once more.
    pub(crate) async fn sweep(&self) -> PortResult<usize> {
        let path = self.dir.clone();
        let attempt = "sweep the state directory";
        blocking(attempt, move || {
            let dir = Dir::open(&path, Trust::Owned).map_err(|error| port(error, attempt))?;
            dir.sweep_temporary_files().map_err(|error| port(error, attempt))
        })
        .await
    }

    /// Changes the record under the host's lock, and writes it durably if `change` says so.
    ///
    /// A change whose caller goes away goes on to its end, and the lock with it: nobody else comes
    /// between its reading and its writing.
    pub(crate) async fn update<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Record, &Catalog) -> (bool, T) + Send + 'static,
    ) -> PortResult<T> {
        let lock = self.lock().await?;
        let (path, catalog) = (self.dir.clone(), Arc::clone(&self.catalog));
        blocking("change the record of wishes", move || {
            let _until_done = lock;
            let mut record = read(&path)?;
            let (changed, value) = change(&mut record, &catalog);
            if changed {
                write(&path, &record)?;
            }
            Ok(value)
        })
        .await
    }
}

#[async_trait]
impl DesiredStore for RecordStore {
    async fn load(&self) -> PortResult<DesiredState> {
        Ok(self.read().await?.desired(&self.catalog))
    }

    async fn lock(&self) -> PortResult<HostLock> {
        let path = self.dir.clone();
        let attempt = "lock the host";
        let (mut file, mut held) = blocking(attempt, move || {
            let dir =
                Dir::create(&path, 0o700, Trust::Owned).map_err(|error| port(error, attempt))?;
            try_lock(LockFile::open(&dir, LOCK_FILE, 0o600).map_err(|error| port(error, attempt))?)
        })
        .await?;
        let deadline = Instant::now() + PATIENCE;
        // The kernel has no queue that an asynchronous caller could wait in.
        while !held {
            if Instant::now() >= deadline {
                let message = format!(
                    "another process has held the host for {} s, see the lock file in {}",
                    PATIENCE.as_secs(),
                    self.dir.display()
                );
                return Err(PortError::new(PortErrorKind::Transient, message));
            }
            tokio::time::sleep(POLL).await;
            (file, held) = blocking(attempt, move || try_lock(file)).await?;
        }
        Ok(HostLock::new(file))
    }
}

fn try_lock(mut file: LockFile) -> PortResult<(LockFile, bool)> {
    let held = file.try_lock().map_err(|error| port(error, "lock the host"))?;
    Ok((file, held))
}

fn read(path: &Path) -> PortResult<Record> {
    let dir = match Dir::open(path, Trust::Owned) {
        Ok(dir) => dir,
        Err(DirError::NotFound { .. }) => return Ok(Record::default()),
        Err(error) => return Err(port(error, "read the record of wishes")),
    };
    let contents = dir
        .read(RECORD_FILE, RECORD_LIMIT)
        .map_err(|error| port(error, "read the record of wishes"))?;
    let Some(contents) = contents else { return Ok(Record::default()) };
    Record::from_bytes(&contents.bytes).map_err(|why| {
        let file = path.join(RECORD_FILE);
        let message = format!("the record of wishes {} cannot be used: {why}", file.display());
        PortError::new(PortErrorKind::Invalid, message)
    })
}

fn write(path: &Path, record: &Record) -> PortResult<()> {
    let attempt = "write the record of wishes";
    let bytes = record.to_bytes().map_err(|error| {
        PortError::new(PortErrorKind::Invalid, format!("failed to {attempt}")).with_source(error)
    })?;
    let dir = Dir::create(path, 0o700, Trust::Owned).map_err(|error| port(error, attempt))?;
    dir.sweep_temporary_files_of(RECORD_FILE).map_err(|error| port(error, attempt))?;
    dir.write(RECORD_FILE, &bytes, 0o600).map_err(|error| port(error, attempt))
}

fn port(error: DirError, attempt: &str) -> PortError {
    let kind = match &error {
        DirError::Denied { .. } | DirError::Untrusted { .. } => PortErrorKind::Denied,
        DirError::ReadOnly { .. } => PortErrorKind::Unavailable,
        DirError::NotARegularFile { .. } | DirError::NotADirectory { .. } => {
            PortErrorKind::Conflict
        }
        DirError::TooLarge { .. } | DirError::InvalidName { .. } => PortErrorKind::Invalid,
        DirError::NotFound { .. } | DirError::Full { .. } | DirError::Io { .. } => {
            PortErrorKind::Transient
        }
    };
    PortError::new(kind, format!("failed to {attempt}")).with_source(error)
}

/// Does `work` where blocking is allowed, and waits for it a bounded time: a network file system may
/// hang. The work itself goes on to its end.
async fn blocking<T: Send + 'static>(
    attempt: &str,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    let stuck =
        |why| PortError::new(PortErrorKind::Transient, format!("failed to {attempt}, {why}"));
    match tokio::time::timeout(FILE_LIMIT, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(cause)) => Err(stuck("the work was cut off").with_source(cause)),
        Err(_) => Err(stuck("the file system does not answer")),
    }
}

#[cfg(test)]
mod tests {
    use companion_core::model::companion::CompanionName;

    use super::*;
    use crate::app::AppId;

    fn store(dir: &Path) -> RecordStore {
        RecordStore::new(dir.join("state"), Arc::new(Catalog::builtin()))
    }

    async fn install(store: &RecordStore, app: &str) {
        let app = AppId::new(app).unwrap();
        let wish =
            move |record: &mut Record, catalog: &Catalog| (true, record.install(&app, catalog));
        store.update(wish).await.unwrap();
    }

    #[tokio::test]
    async fn a_wish_is_read_by_another_process_at_once() {
        let dir = tempfile::tempdir().unwrap();
        install(&store(dir.path()), "lnd").await;
        let desired = store(dir.path()).load().await.unwrap();
        let names: Vec<_> = desired.companions.keys().map(CompanionName::as_str).collect();
        assert_eq!(names, ["archy-lnd-ui"]);
    }

    #[tokio::test]
    async fn nothing_is_desired_before_the_first_wish_and_nothing_is_made_by_reading() {
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
        let wish =
            move |record: &mut Record, catalog: &Catalog| (true, record.remove(&app, catalog));
        assert!(store.update(wish).await.is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"half a rec");
    }

    #[tokio::test]
    async fn the_lock_has_one_holder_and_is_free_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (store(dir.path()), store(dir.path()));
        let held = one.lock().await.unwrap();
        let waiting = tokio::spawn(async move { two.lock().await.map(|_lock| ()) });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_host_is_free_again_after_a_wish_that_failed() {
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
    async fn a_wish_whose_caller_went_away_keeps_the_lock_until_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (store, other) = (store(dir.path()), store(dir.path()));
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let app = AppId::new("lnd").unwrap();
        let wish = tokio::spawn(async move {
            let change = move |record: &mut Record, catalog: &Catalog| {
                begun.send(()).unwrap();
                may_end.recv().unwrap();
                (true, record.install(&app, catalog))
            };
            store.update(change).await
        });
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        wish.abort();
        assert!(wish.await.unwrap_err().is_cancelled());
        let state = Dir::open(other.dir(), Trust::Owned).unwrap();
        let mut lock = LockFile::open(&state, LOCK_FILE, 0o600).unwrap();
        assert!(!lock.try_lock().unwrap());
        end.send(()).unwrap();
        let _lock = other.lock().await.unwrap();
        assert_eq!(other.load().await.unwrap().companions.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_system_that_does_not_answer_is_an_error_and_no_end_of_waiting() {
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let hangs = blocking("read", move || {
            let _ended = may_end.recv();
            Ok(())
        });
        let waiting = tokio::spawn(hangs);
        tokio::task::yield_now().await;
        tokio::time::advance(FILE_LIMIT + Duration::from_secs(1)).await;
        let error = waiting.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("does not answer"), "{error}");
        drop(end);
    }

    #[tokio::test]
    async fn what_a_crash_left_in_the_state_directory_is_swept_and_the_record_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        install(&store, "lnd").await;
        for left in [".desired.json.abcdefgh.tmp", ".host-key.abcdefgh.tmp"] {
            std::fs::write(dir.path().join("state").join(left), b"half").unwrap();
        }
        assert_eq!(store.sweep().await.unwrap(), 2);
        assert_eq!(store.sweep().await.unwrap(), 0);
        assert_eq!(store.load().await.unwrap().companions.len(), 1);
    }

    #[test]
    fn a_caller_outwaits_a_round_with_a_slow_reload_and_two_slow_effects() {
        let limits = companion_core::reconciler::Limits::default();
        assert!(PATIENCE > limits.reload + 2 * limits.act);
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
