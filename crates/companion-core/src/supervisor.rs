//! The supervisor: reconciles immediately, on every wake-up, every change of the desired state and every hint of the
//! host, and at least every 30 s, until shutdown.
//!
//! Level-triggered: wake-ups only reduce latency. If all are lost, the resync still observes the whole state of
//! the host.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::ports::Host;
use crate::reconciler::{Reconcile, ReconcileError, Reconciler};

/// The resync interval.
pub const RESYNC: Duration = Duration::from_secs(30);

/// The minimum interval between event-driven reconciles; a burst of events is coalesced into one.
pub const DEBOUNCE: Duration = Duration::from_millis(200);

/// The minimum interval between reconciles that hints of the host cause: a companion that crashes again and again
/// changes all the time.
pub const HINT_INTERVAL: Duration = Duration::from_secs(5);

/// Runs the reconcile loop.
pub struct Supervisor {
    reconciler: Arc<Reconciler>,
    resync: Duration,
    wake: Arc<Notify>,
}

impl Supervisor {
    /// Returns a supervisor that resyncs every [`RESYNC`].
    pub fn new(reconciler: Arc<Reconciler>) -> Self {
        Self { reconciler, resync: RESYNC, wake: Arc::new(Notify::new()) }
    }

    /// Sets the resync interval.
    #[must_use]
    pub fn with_resync(self, resync: Duration) -> Self {
        Self { resync, ..self }
    }

    /// Sets the wake-up source, which may already be notified.
    #[must_use]
    pub fn woken_by(self, wake: Arc<Notify>) -> Self {
        Self { wake, ..self }
    }

    /// Returns the handle that event sources notify to trigger a reconcile.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Reconciles until `shutdown` and passes each result to `on_reconcile`, which can notify a watchdog.
    ///
    /// While another process is the leader, each reconcile returns an error, and the supervisor tries to
    /// acquire leadership again after the resync interval or a wake-up. On shutdown it finishes the current
    /// reconcile and cancels running work; jobs and services of the service manager keep running.
    pub async fn run(
        self,
        shutdown: CancellationToken,
        mut on_reconcile: impl FnMut(&Result<Reconcile, ReconcileError>),
    ) {
        let host = self.reconciler.host().clone();
        let mut next_hint = Instant::now();
        while !shutdown.is_cancelled() {
            let ended = self.reconciler.work_ended();
            tokio::pin!(ended);
            let reconcile = self.reconciler.reconcile_once().await;
            if let Err(error) = &reconcile {
                log_failed_reconcile(error);
            }
            let pause = pause_after(&reconcile, self.resync);
            on_reconcile(&reconcile);
            drop(reconcile);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
                () = &mut ended => {}
                () = self.wake.notified() => debounce(&shutdown).await,
                () = host.desired.changed() => debounce(&shutdown).await,
                () = hinted(&host, next_hint) => next_hint = Instant::now() + HINT_INTERVAL,
            }
        }
        info!("shutting down; companions keep running");
        self.reconciler.shut_down().await;
    }
}

/// Waits for a hint of the host, and until the next one may cause a reconcile.
async fn hinted(host: &Host, not_before: Instant) {
    host.changed().await;
    tokio::time::sleep_until(not_before.max(Instant::now() + DEBOUNCE)).await;
}

/// Lets the rest of a burst of events pass.
async fn debounce(shutdown: &CancellationToken) {
    let _cancelled = shutdown.run_until_cancelled(tokio::time::sleep(DEBOUNCE)).await;
}

/// Returns the time of the next reconcile if no wake-up comes first.
fn pause_after(reconcile: &Result<Reconcile, ReconcileError>, resync: Duration) -> Duration {
    match reconcile {
        // Observe again soon after any step: only a read confirms success.
        Ok(reconcile) if !reconcile.steps().is_empty() => Duration::from_secs(1).min(resync),
        Ok(reconcile) => reconcile.plan.requeue_after.unwrap_or(resync).max(DEBOUNCE).min(resync),
        Err(_) => resync,
    }
}

fn log_failed_reconcile(error: &ReconcileError) {
    error!("{}", error.chain());
}
