//! The heartbeat of a leader: whether its reconcile loop moves.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use companion_core::reconciler::Limits;
use tokio::time::Instant;

/// The longest time within a reconcile without a step that begins or ends: before the first step it
/// makes five reads (of the desired state; of hooks, images and the list of units together; of units and
/// services together; of containers; of the leadership). No step takes as long.
fn longest_wait(limits: &Limits) -> Duration {
    (5 * limits.read).max(limits.reload).max(limits.act)
}

/// When the reconcile loop of a leader last moved.
///
/// A leader beats it at each step that begins or ends, and after each reconcile.
#[derive(Debug)]
pub struct Heartbeat {
    last: Mutex<Instant>,
    limit: Duration,
}

impl Heartbeat {
    /// The heartbeat of a loop that rests for `resync` between two reconciles.
    pub fn new(resync: Duration) -> Self {
        let limit = resync + longest_wait(&Limits::default());
        Self { last: Mutex::new(Instant::now()), limit }
    }

    /// Notes that the loop moves.
    pub fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long the loop has not moved, if that is longer than any of its waits may take.
    pub fn stuck_for(&self) -> Option<Duration> {
        let quiet = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        (quiet > self.limit).then_some(quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reconcile_that_reads_slowly_is_not_stuck() {
        let (resync, limits) = (Duration::from_secs(30), Limits::default());
        let heartbeat = Heartbeat::new(resync);
        tokio::time::advance(resync + 5 * limits.read).await;
        assert_eq!(heartbeat.stuck_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn loop_that_hangs_is_stuck_until_it_moves_again() {
        let heartbeat = Heartbeat::new(Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(30) + longest_wait(&Limits::default())).await;
        assert_eq!(heartbeat.stuck_for(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(heartbeat.stuck_for().is_some());
        heartbeat.beat();
        assert_eq!(heartbeat.stuck_for(), None);
    }
}
