//! What all simulations of a fake host share: virtual time, a daemon that runs on it, and the [checks].

#![expect(clippy::panic, reason = "a test fails if there is no runtime")]

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::FakeHost;
use companion_core::reconciler::{Reconcile, ReconcileError, Reconciler};
use companion_core::supervisor::Supervisor;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub mod checks;

use crate::faults::End;
use checks::Verdict;

/// The bound of all waiting: longer than the longest timeout of a call.
pub const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// A single-threaded runtime with a paused clock, whose time passes only while all tasks wait.
///
/// # Panics
/// If there is none.
pub fn virtual_time() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    runtime.unwrap_or_else(|error| panic!("{error}"))
}

/// A running supervisor; dropping it kills it.
pub struct Daemon {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    manager: Arc<Reconciler>,
}

impl Daemon {
    /// Runs `manager` on `host`; `saw` gets each reconcile.
    pub fn start(
        host: &FakeHost,
        manager: Arc<Reconciler>,
        saw: impl Fn(&Result<Reconcile, ReconcileError>) + Send + Sync + 'static,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let supervisor = Supervisor::new(Arc::clone(&manager));
        host.tell(supervisor.wake());
        let task = tokio::spawn(supervisor.run(shutdown.clone(), saw));
        Self { shutdown, task, manager }
    }

    /// Ends it in that way, together with the work that it started.
    ///
    /// # Errors
    /// If it does not end, or panicked.
    pub async fn end(mut self, end: End) -> Verdict {
        match end {
            End::ShutDown => self.shutdown.cancel(),
            End::Killed => self.task.abort(),
        }
        let ended = tokio::time::timeout(LONGEST, &mut self.task).await;
        self.manager.shut_down().await;
        match ended {
            Err(_) => Err("the supervisor does not end".to_owned()),
            Ok(Err(error)) if error.is_panic() => Err(format!("the supervisor panicked: {error}")),
            Ok(_) => Ok(()),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.task.abort();
    }
}
