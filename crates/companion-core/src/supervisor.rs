//! The supervisor: a round at once, on every wake-up, and at the latest every 30 s, until shutdown.
//!
//! Wake-ups only make it faster. With all of them lost, the tick still finds everything: what is
//! looked at is the state of the host, never the history of its events.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::reconciler::{ReconcileError, Reconciler, Round};

/// How often everything is looked at when nothing happens.
pub const TICK: Duration = Duration::from_secs(30);

/// The shortest time between two rounds that events ask for: a burst of them is one round.
pub const DEBOUNCE: Duration = Duration::from_millis(200);

/// Keeps companions true for as long as it runs.
pub struct Supervisor {
    reconciler: Arc<Reconciler>,
    tick: Duration,
    wake: Arc<Notify>,
}

impl Supervisor {
    /// A supervisor that looks every [`TICK`].
    pub fn new(reconciler: Arc<Reconciler>) -> Self {
        Self { reconciler, tick: TICK, wake: Arc::new(Notify::new()) }
    }

    /// The same with another tick.
    #[must_use]
    pub fn with_tick(self, tick: Duration) -> Self {
        Self { tick, ..self }
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

    /// Makes rounds until `shutdown`; each is shown to `on_round`, from which a watchdog can be fed.
    ///
    /// While another process leads, each round is an error, and leadership is tried for again after the
    /// tick or a wake-up. A round that is under way when the shutdown comes is ended, its work is dropped,
    /// and jobs of the service manager go on: companions are the service manager's, not ours.
    pub async fn run(
        self,
        shutdown: CancellationToken,
        mut on_round: impl FnMut(&Result<Round, ReconcileError>),
    ) {
        while !shutdown.is_cancelled() {
            let ended = self.reconciler.work_ended();
            tokio::pin!(ended);
            let round = self.reconciler.round().await;
            if let Err(error) = &round {
                log_failed_round(error);
            }
            let pause = pause_after(&round, self.tick);
            on_round(&round);
            drop(round);
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

/// When the next round is due if nothing wakes it.
fn pause_after(round: &Result<Round, ReconcileError>, tick: Duration) -> Duration {
    match round {
        // What was just done, well or not, is looked at again soon: success is what is read back.
        Ok(round) if !round.steps().is_empty() => Duration::from_secs(1).min(tick),
        Ok(round) => round.plan.requeue_after.unwrap_or(tick).max(DEBOUNCE).min(tick),
        Err(_) => tick,
    }
}

fn log_failed_round(error: &ReconcileError) {
    error!("{}", error.chain());
}
