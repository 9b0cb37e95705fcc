//! One child process, supervised by a separate task.

use std::convert::Infallible;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Pid;
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::output::Stream;
use super::spool::Spool;
use super::tree::Tree;

/// How long the pipes may stay open after the child's end: an orphaned process may hold them forever.
const PIPE_GRACE: Duration = Duration::from_secs(2);

/// How long a killed process may take to end; a process that waits for a disk cannot be killed.
const REAP_LIMIT: Duration = Duration::from_secs(5);

/// How a child ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// Terminated at its time limit.
    TimedOut,
    /// Terminated because the caller was dropped.
    Abandoned,
    /// Waiting for it failed.
    Lost(io::Error),
}

/// The supervision of a child.
pub(crate) struct Supervision {
    pub(crate) limit: Duration,
    pub(crate) grace: Duration,
    /// Resolves when the caller was dropped.
    pub(crate) abandoned: oneshot::Receiver<()>,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    /// The child's stderr, if not a pipe.
    pub(crate) spool: Option<Spool>,
}

impl Supervision {
    /// Supervises `child`; terminates it at the time limit or when the caller was dropped.
    pub(crate) async fn watch(mut self, mut child: Child) -> Ending {
        let number = child.id().and_then(|id| i32::try_from(id).ok());
        let mut leader = Leader(number.and_then(Pid::from_raw));
        let mut readers = tokio::task::JoinSet::new();
        readers.spawn(self.stdout.drain(child.stdout.take()));
        readers.spawn(self.stderr.clone().drain(child.stderr.take()));
        let ending = tokio::select! {
            status = child.wait() => match status {
                Ok(status) => Ending::Exited(status),
                Err(error) => Ending::Lost(error),
            },
            () = sleep(self.limit) => Ending::TimedOut,
            _ = self.abandoned => Ending::Abandoned,
            never = follow(&mut self.spool, &self.stderr) => match never {},
        };
        if let (Ending::TimedOut | Ending::Abandoned, Some(pid)) = (&ending, leader.0) {
            tracing::debug!(%pid, ?ending, "terminating podman");
            // Keep reading the pipes: a terminating child would block on a full pipe.
            Tree::of(pid).await.end(self.grace).await;
            // The runtime reaps a process that is still alive when `child` is dropped.
            let _ = timeout(REAP_LIMIT, child.wait()).await;
        }
        leader.0 = None;
        if let Some(spool) = &mut self.spool {
            spool.catch_up(&self.stderr);
        }
        // Dropping the set stops the remaining readers.
        let _ = timeout(PIPE_GRACE, async { while readers.join_next().await.is_some() {} }).await;
        ending
    }
}

async fn follow(spool: &mut Option<Spool>, stream: &Stream) -> Infallible {
    match spool {
        Some(spool) => spool.follow(stream).await,
        None => std::future::pending().await,
    }
}

/// Sends SIGTERM to the process tree if the runtime drops its supervision: podman then terminates cleanly, whereas
/// SIGKILL could damage the store.
struct Leader(Option<Pid>);

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // On this thread: the runtime is shutting down, and the process may exit at any moment.
            Tree::below(pid).ask();
        }
    }
}
