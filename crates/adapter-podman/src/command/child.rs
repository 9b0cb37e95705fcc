//! One child process from its start to its end, watched by a task of its own.

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

/// How long the pipes may stay open after the child's end: a process that it left behind may hold
/// them for ever.
const PIPE_GRACE: Duration = Duration::from_secs(2);

/// How long a killed process may take to be gone: one that waits for a disk cannot be killed.
const REAP_LIMIT: Duration = Duration::from_secs(5);

/// How a child ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// By us, after its limit of time.
    TimedOut,
    /// By us, because nobody waits for it any more.
    Abandoned,
    /// It could not be waited for.
    Lost(io::Error),
}

/// Within what a child is watched.
pub(crate) struct Supervision {
    pub(crate) limit: Duration,
    pub(crate) grace: Duration,
    /// Resolves when the caller is gone.
    pub(crate) abandoned: oneshot::Receiver<()>,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    /// Where the child complains, if not to a pipe.
    pub(crate) spool: Option<Spool>,
}

impl Supervision {
    /// Watches `child` to its end, which it brings about when the limit passed or the caller went.
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
            tracing::debug!(%pid, ?ending, "ending podman");
            // The pipes are read on, or a child that says goodbye would block on a full one.
            Tree::of(pid).await.end(self.grace).await;
            // What is not gone by then is collected by the runtime when `child` is dropped.
            let _ = timeout(REAP_LIMIT, child.wait()).await;
        }
        leader.0 = None;
        if let Some(spool) = &mut self.spool {
            spool.catch_up(&self.stderr);
        }
        // Dropping the set ends the readers that are left.
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

/// Asks the tree below a process to end when the runtime drops its watch: podman then ends by
/// itself and in good order, whereas a kill could damage the store.
struct Leader(Option<Pid>);

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // On this thread: there is no runtime any more, and the process may end at any moment.
            Tree::below(pid).ask();
        }
    }
}
