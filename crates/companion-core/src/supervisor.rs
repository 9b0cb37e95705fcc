//! The supervisor: a reconcile at once, on every wake-up, and at the latest every 30 s, until shutdown.
//!
//! Wake-ups only make it faster. With all of them lost, the resync still finds everything: what is
//! looked at is the state of the host, never the history of its events.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::reconciler::{Reconcile, ReconcileError, Reconciler};

/// How often everything is looked at when nothing happens.
pub const RESYNC: Duration = Duration::from_secs(30);

/// The shortest time between two reconciles that events ask for: a burst of them is one reconcile.
pub const DEBOUNCE: Duration = Duration::from_millis(200);

/// Keeps companions true for as long as it runs.
pub struct Supervisor {
    reconciler: Arc<Reconciler>,
    resync: Duration,
    wake: Arc<Notify>,
}

impl Supervisor {
    /// A supervisor that looks every [`RESYNC`].
    pub fn new(reconciler: Arc<Reconciler>) -> Self {
        Self { reconciler, resync: RESYNC, wake: Arc::new(Notify::new()) }
    }

    /// The same with another resync.
    #[must_use]
    pub fn with_tick(self, resync: Duration) -> Self {
        Self { resync, ..self }
    }

    /// The same, woken by `wake`, which may have been notified before.
    #[must_use]
    pub fn woken_by(self, wake: Arc<Notify>) -> Self {
        Self { wake, ..self }
    }

    /// What an event source notifies to have everything looked at now.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Makes reconciles until `shutdown`; each is shown to `on_round`, from which a watchdog can be fed.
    ///
    /// While another process leads, each reconcile is an error, and leadership is tried for again after the
    /// resync or a wake-up. A reconcile that is under way when the shutdown comes is ended, its work is dropped,
    /// and jobs of the service manager go on: companions are the service manager's, not ours.
    pub async fn run(
        self,
        shutdown: CancellationToken,
        mut on_round: impl FnMut(&Result<Reconcile, ReconcileError>),
    ) {
        while !shutdown.is_cancelled() {
            let ended = self.reconciler.work_ended();
            tokio::pin!(ended);
            let reconcile = self.reconciler.reconcile_once().await;
            if let Err(error) = &reconcile {
                log_failed_round(error);
            }
            let pause = pause_after(&reconcile, self.resync);
            on_round(&reconcile);
            drop(reconcile);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
                () = &mut ended => {}
                () = self.wake.notified() => {
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(DEBOUNCE) => {}
                    }
                }
            }
        }
        info!("shutting down; the companions go on by themselves");
        self.reconciler.shut_down().await;
    }
}

/// When the next reconcile is due if nothing wakes it.
fn pause_after(reconcile: &Result<Reconcile, ReconcileError>, resync: Duration) -> Duration {
    match reconcile {
        // What was just done, well or not, is looked at again soon: success is what is read back.
        Ok(reconcile) if !reconcile.steps().is_empty() => Duration::from_secs(1).min(resync),
        Ok(reconcile) => reconcile.plan.requeue_after.unwrap_or(resync).max(DEBOUNCE).min(resync),
        Err(_) => resync,
    }
}

fn log_failed_round(error: &ReconcileError) {
    error!("{}", error.chain());
}
