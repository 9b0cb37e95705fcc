//! The supervisor: reconciles immediately, on every wake-up, every change of the desired state and every hint of the
//! host, and at least every 30 s, until shutdown.
//!
//! Level-triggered: wake-ups only reduce latency. After a hint, after the end of work, and when an attempt is due, it
//! observes only the companions concerned; the resync observes the whole state of the host, so it also repairs what no hint
//! reported.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::ports::Hint;
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

    /// Sets the handle that event sources notify to trigger a reconcile; it may already be notified.
    #[must_use]
    pub fn woken_by(self, wake: Arc<Notify>) -> Self {
        Self { wake, ..self }
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
        // Until when the reconciles caused by hints use up their share (a leaky bucket).
        let mut paid_until = Instant::now();
        let mut resync_at = Instant::now();
        let mut last = None;
        let (mut hinted, mut by_hint, mut requested) = (Hint::NONE, false, false);
        while !shutdown.is_cancelled() {
            let ended = self.reconciler.work_ended();
            tokio::pin!(ended);
            let started = Instant::now();
            let hint = std::mem::replace(&mut hinted, Hint::NONE);
            let is_all = std::mem::take(&mut requested) || started >= resync_at;
            let reconcile = match last.take().filter(|_| !is_all) {
                Some(last) => self.reconciler.reconcile_again(last, hint).await,
                None => self.reconciler.reconcile_once().await,
            };
            if std::mem::take(&mut by_hint) {
                // A reconcile that repairs takes as long as the host needs, and the back-off limits repairs.
                let repairs = reconcile.as_ref().is_ok_and(|done| !done.steps().is_empty());
                let took = if repairs { Duration::ZERO } else { started.elapsed() };
                let (least, most) = HINT_COST;
                let cost = took.saturating_mul(HINT_SHARE).clamp(least, most);
                paid_until = paid_until.max(Instant::now()) + cost;
            }
            if let Err(error) = &reconcile {
                error!("{}", error.chain());
            }
            let now = Instant::now();
            if reconcile.as_ref().map_or(true, |reconcile| reconcile.names.is_none()) {
                resync_at = now + self.resync;
            }
            let next = now + pause_after(&reconcile, self.resync);
            on_reconcile(&reconcile);
            last = reconcile.ok();
            let next_event = started + DEBOUNCE;
            let next_hint = paid_until.checked_sub(HINT_BURST).unwrap_or(paid_until);
            let request = async {
                tokio::select! {
                    biased;
                    () = self.wake.notified() => {}
                    () = host.desired.changed() => {}
                }
                requested = true;
            };
            let hint = async { hinted.merge(host.changed().await) };
            // In this order, so that a simulation is reproducible; what is not taken now is not lost.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep_until(next.min(resync_at)) => {}
                () = &mut ended => {}
                () = not_before(next_event, request) => {}
                () = not_before(next_event.max(next_hint), hint) => by_hint = true,
            }
        }
        info!("shutting down; companions keep running");
        self.reconciler.shut_down().await;
    }
}

/// Waits for `event`, and until `earliest`.
///
/// If another event comes first, the reconcile that follows takes what this one recorded.
async fn not_before(earliest: Instant, event: impl Future<Output = ()>) {
    event.await;
    tokio::time::sleep_until(earliest).await;
}

/// Returns the time of the next reconcile if no wake-up comes first.
fn pause_after(reconcile: &Result<Reconcile, ReconcileError>, resync: Duration) -> Duration {
    match reconcile {
        // Observe again soon after any step: only a read confirms success.
        Ok(reconcile) if !reconcile.steps().is_empty() => Duration::from_secs(1).min(resync),
        Ok(reconcile) => reconcile.requeue_after().unwrap_or(resync).max(DEBOUNCE).min(resync),
        Err(_) => resync,
    }
}
