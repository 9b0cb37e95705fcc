//! Leadership of a host: a lock in the runtime directory of its service manager.
//!
//! *Flow.* Whoever wants to decide tries the lock. Who gets it writes down who it is, and answers on a
//! socket next to the lock for as long as it leads. Who does not get it reads who leads, and asks on the
//! socket whether that process still works.
//!
//! *Guarantees.* There is one leader for each service manager, wherever the state directories are: the
//! directory is found by the user's id and not by the environment. The kernel frees the lock when its
//! holder dies. A converged leader writes nothing: the heartbeat is an answer to a question.
//!
//! *Assumptions.* The runtime directory is a local file system (systemd mounts a tmpfs). A file system
//! whose locks exclude nobody is found out and refused.
//!
//! *Caveats.* Who leads is written after the lock was taken: in between, the name of the leader before
//! it is read. It is for messages alone.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use companion_core::ports::{Acquired, Leadership, Lease, PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, LockFile, Trust};
use host_files::blocking;
use host_files::errors::failed_to;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

mod heartbeat;
mod info;
mod take_over;

pub use heartbeat::Heartbeat;
pub use info::{LeaderInfo, Role, Settings};
pub use take_over::take_over;

const LOCK_FILE: &str = "leader.lock";
const INFO_FILE: &str = "leader.json";
const SOCKET: &str = "leader.sock";

/// The most bytes of [`INFO_FILE`].
const INFO_LIMIT: usize = 64 * 1024;

/// How long a leader may take to answer. It answers between two waits of its thread, which never blocks.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The directory with the lock of what the service manager of this user controls: `/run/user/<uid>/companion`.
///
/// There is one service manager for each user, so the user's id names it. Without the directory of
/// systemd, `$XDG_RUNTIME_DIR` is taken.
///
/// # Errors
/// `Unavailable` for a user without a runtime directory: then there is no service manager either.
pub fn user_leader_dir() -> PortResult<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let by_id = PathBuf::from(format!("/run/user/{uid}"));
    let named = || std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = Some(by_id).filter(|dir| dir.is_dir()).or_else(named);
    let runtime = runtime.filter(|dir| dir.is_absolute());
    runtime.map(|dir| dir.join("companion")).ok_or_else(|| {
        let message = "the user has no runtime directory below `/run/user`";
        PortError::new(PortErrorKind::Unavailable, message)
    })
}

/// The leadership of one host, as one process takes it.
#[derive(Debug, Clone)]
pub struct LeaderLock {
    dir: PathBuf,
    info: Arc<LeaderInfo>,
    heartbeat: Arc<Heartbeat>,
    wake: Arc<Notify>,
}

/// Whether a leader works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Alive,
    /// It answers, and its reconcile loop has not moved for longer than any of its waits may take.
    Stuck {
        /// For how many seconds.
        seconds: u64,
    },
    /// It does not answer within 5 s: its thread hangs, or it is stopped.
    NoEvents,
}

impl LeaderLock {
    /// The leadership that is kept in `dir`, for a process that `info` describes.
    pub fn new(dir: impl Into<PathBuf>, info: LeaderInfo, heartbeat: Arc<Heartbeat>) -> Self {
        Self { dir: dir.into(), info: Arc::new(info), heartbeat, wake: Arc::new(Notify::new()) }
    }

    /// What is notified when another process asks this leader for its attention.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}

/// Who leads the host of `dir`; `None` when nobody does. It takes no lock, so it is in nobody's way.
///
/// # Errors
/// `Denied` when the directory is not this user's, `Transient` when it did not answer in time.
pub async fn leader(dir: &Path) -> PortResult<Option<LeaderInfo>> {
    let connected = timeout(ANSWER_LIMIT, UnixStream::connect(dir.join(SOCKET))).await;
    if let Ok(Err(error)) = connected
        && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
    {
        return Ok(None);
    }
    let path = dir.to_owned();
    let attempt = "look for the leader";
    blocking::run(attempt, move || {
        let dir = Dir::open(&path, Trust::Owned).map_err(failed_to(attempt))?;
        Ok(Some(read_info(&dir)))
    })
    .await
}

/// Asks the leader in `dir` whether it works, which also wakes its reconcile loop.
pub async fn ask(dir: &Path) -> Answer {
    let asked = async {
        let mut stream = UnixStream::connect(dir.join(SOCKET)).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        text.trim().parse::<u64>().ok()
    };
    match timeout(ANSWER_LIMIT, asked).await {
        Ok(Some(0)) => Answer::Alive,
        Ok(Some(seconds)) => Answer::Stuck { seconds },
        Ok(None) | Err(_) => Answer::NoEvents,
    }
}

#[async_trait]
impl Leadership for LeaderLock {
    async fn acquire(&self) -> PortResult<Acquired> {
        let (path, info) = (self.dir.clone(), Arc::clone(&self.info));
        let taken = blocking::run("acquire the leadership", move || try_lead(&path, &info)).await?;
        let (file, listener) = match taken {
            Ok(taken) => taken,
            Err(by) => return Ok(Acquired::Led { by: by.to_string() }),
        };
        let listener = UnixListener::from_std(listener).map_err(no_socket)?;
        let (heartbeat, wake) = (Arc::clone(&self.heartbeat), Arc::clone(&self.wake));
        heartbeat.beat();
        let answers = AbortOnDropHandle::new(tokio::spawn(answer(listener, heartbeat, wake)));
        Ok(Acquired::Leading(Box::new(Guard { _answers: answers, lock: file })))
    }
}

/// Dropped, it ends the answers and then frees the lock.
struct Guard {
    _answers: AbortOnDropHandle<()>,
    lock: LockFile,
}

impl Lease for Guard {
    /// The runtime directory is in memory, so that looking takes no time.
    fn is_held(&self) -> bool {
        self.lock.is_in_place()
    }
}

/// Answers whoever connects: 0 while the reconcile loop moves, else for how many seconds it has not.
async fn answer(listener: UnixListener, heartbeat: Arc<Heartbeat>, wake: Arc<Notify>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            // No descriptor is left: who asks takes this leader for silent, and asks again.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        wake.notify_one();
        let text = format!("{}\n", heartbeat.stuck_for().map_or(0, |time| time.as_secs().max(1)));
        // A few bytes go into the socket's buffer immediately, whoever reads them.
        let _ = timeout(ANSWER_LIMIT, stream.write_all(text.as_bytes())).await;
    }
}

/// Takes the lock and listens; the error is the leader, if there is one.
fn try_lead(
    path: &Path,
    info: &LeaderInfo,
) -> PortResult<Result<(LockFile, StdListener), LeaderInfo>> {
    let attempt = "acquire the leadership";
    let failed = failed_to(attempt);
    let dir = Dir::create(path, 0o700, Trust::Owned).map_err(failed)?;
    let lock = || LockFile::try_lock(&dir, LOCK_FILE, 0o600).map_err(failed);
    let Some(file) = lock()? else {
        return Ok(Err(read_info(&dir)));
    };
    if lock()?.is_some() {
        let message = format!(
            "the file system of {} has no working locks, so two processes could lead",
            path.display()
        );
        return Err(PortError::new(PortErrorKind::Unavailable, message));
    }
    let bytes = serde_json::to_vec(info).map_err(|error| {
        PortError::new(PortErrorKind::Invalid, format!("failed to {attempt}")).with_source(error)
    })?;
    dir.sweep_temporary_files_of(|name| name == INFO_FILE).map_err(failed)?;
    dir.write(INFO_FILE, &bytes, 0o600).map_err(failed)?;
    let listener = listen(&path.join(SOCKET)).map_err(no_socket)?;
    Ok(Ok((file, listener)))
}

fn no_socket(cause: std::io::Error) -> PortError {
    let message = "failed to listen on the leader socket";
    PortError::new(PortErrorKind::Transient, message).with_source(cause)
}

/// Listens at `socket`, in place of a leader that ended. The directory lets nobody else in.
fn listen(socket: &Path) -> std::io::Result<StdListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = StdListener::bind(socket)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn read_info(dir: &Dir) -> LeaderInfo {
    let contents = dir.read(INFO_FILE, INFO_LIMIT).ok().flatten();
    let info = contents.and_then(|contents| serde_json::from_slice(&contents.bytes).ok());
    info.unwrap_or_else(LeaderInfo::unknown)
}

#[cfg(test)]
mod tests;
