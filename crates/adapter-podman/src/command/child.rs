//! One child process, supervised by a separate task.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::output::Tail;
use super::secrets::Secrets;
use super::tree::Tree;

/// Maximum size of an answer in bytes: thousands of images with long labels.
pub(super) const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

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
    /// The child's stderr.
    pub(crate) complaints: Receiver,
    pub(crate) secrets: Secrets,
}

/// How a child ended, and what it printed.
pub(crate) struct Ended {
    pub(crate) ending: Ending,
    /// Its stdout; of a longer one one byte more than [`ANSWER_LIMIT`].
    pub(crate) answer: Vec<u8>,
    pub(crate) complaints: Tail,
}

impl Supervision {
    /// Supervises `child`; terminates it at the time limit or when the caller was dropped.
    pub(crate) async fn watch(self, mut child: Child) -> Ended {
        let number = child.id().and_then(|id| i32::try_from(id).ok());
        let mut leader = Leader(number.and_then(Pid::from_raw));
        let (mut answer, mut complaints) = (Vec::new(), Tail::default());
        let stdout = child.stdout.take();
        let reads = async {
            let answered = async {
                if let Some(stdout) = stdout {
                    // As for stderr: the exit status decides. What prints more is ended by SIGPIPE.
                    let _ = stdout.take(ANSWER_LIMIT as u64 + 1).read_to_end(&mut answer).await;
                }
            };
            tokio::join!(answered, complaints.read(self.complaints, &self.secrets));
        };
        let ends = async {
            let ending = tokio::select! {
                status = child.wait() => status.map_or_else(Ending::Lost, Ending::Exited),
                () = sleep(self.limit) => Ending::TimedOut,
                _ = self.abandoned => Ending::Abandoned,
            };
            if let (Ending::TimedOut | Ending::Abandoned, Some(pid)) = (&ending, leader.0) {
                tracing::debug!(%pid, ?ending, "terminating podman");
                Tree::of(pid).end(self.grace).await;
                // The runtime reaps a process that is still alive when `child` is dropped.
                let _ = timeout(REAP_LIMIT, child.wait()).await;
            }
            leader.0 = None;
            ending
        };
        let ending = {
            // Both together: a terminating child would block on a full pipe.
            tokio::pin!(reads, ends);
            tokio::select! {
                ending = &mut ends => {
                    let _ = timeout(PIPE_GRACE, reads).await;
                    ending
                }
                () = &mut reads => ends.await,
            }
        };
        Ended { ending, answer, complaints }
    }
}

/// Sends SIGTERM to the process tree if the runtime drops its supervision: podman then terminates cleanly, whereas
/// SIGKILL could damage the store.
struct Leader(Option<Pid>);

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // On this thread: the runtime is shutting down, and the process may exit at any moment.
            Tree::of(pid).ask();
        }
    }
}
