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

use crate::reconciler::{Reconcile, ReconcileError, Reconciler};

/// The resync interval.
pub const RESYNC: Duration = Duration::from_secs(30);

/// The minimum interval between event-driven reconciles: the first event of a burst is acted on immediately, and those
/// behind it share the next reconcile.
pub const DEBOUNCE: Duration = Duration::from_millis(50);

/// The share of the time that reconciles caused by hints of the host may take, as a divisor: a twentieth. A companion that
/// crashes again and again changes all the time.
pub const HINT_SHARE: u32 = 20;

/// How far hints may exceed their share before they have to wait: a fault and its repair cause a few in a row.
pub const HINT_BURST: Duration = Duration::from_secs(1);

/// The minimum and maximum cost of one reconcile in the share of the hints.
pub const HINT_COST: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

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
        let mut hints = Hints { paid_until: Instant::now() };
        let mut by_hint = false;
        while !shutdown.is_cancelled() {
            let ended = self.reconciler.work_ended();
            tokio::pin!(ended);
            let begun = Instant::now();
            let reconcile = self.reconciler.reconcile_once().await;
            if std::mem::take(&mut by_hint) {
                // A reconcile that repairs takes as long as the host needs, and the back-off limits repairs.
                let repairs = reconcile.as_ref().is_ok_and(|done| !done.steps().is_empty());
                hints.charge(if repairs { Duration::ZERO } else { begun.elapsed() });
            }
            if let Err(error) = &reconcile {
                log_failed_reconcile(error);
            }
            let pause = pause_after(&reconcile, self.resync);
            on_reconcile(&reconcile);
            drop(reconcile);
            let next_event = begun + DEBOUNCE;
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
                () = &mut ended => {}
                () = not_before(next_event, self.wake.notified()) => {}
                () = not_before(next_event, host.desired.changed()) => {}
                () = not_before(next_event.max(hints.next()), host.changed()) => by_hint = true,
            }
        }
        info!("shutting down; companions keep running");
        self.reconciler.shut_down().await;
    }
}

/// Waits for `event`, and until `earliest`.
///
/// If another event comes first, this one is dropped: the reconcile that follows observes what it announced.
async fn not_before(earliest: Instant, event: impl Future<Output = ()>) {
    event.await;
    tokio::time::sleep_until(earliest).await;
}

/// Limits reconciles caused by hints to their share of the time (a leaky bucket).
struct Hints {
    /// Until when the reconciles so far use up the share.
    paid_until: Instant,
}

impl Hints {
    fn charge(&mut self, took: Duration) {
        let (least, most) = HINT_COST;
        let cost = took.saturating_mul(HINT_SHARE).clamp(least, most);
        self.paid_until = self.paid_until.max(Instant::now()) + cost;
    }

    /// Returns when the next hint may cause a reconcile.
    fn next(&self) -> Instant {
        self.paid_until.checked_sub(HINT_BURST).unwrap_or(self.paid_until)
    }
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
