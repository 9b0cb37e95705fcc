//! The watchdog's pulse: fed while the daemon's loop is alive, and for no other reason.
//!
//! A round has no short bound: it waits for a lock, reads, and reloads. But no single one of its
//! waits is long. So the loop notes each step that it begins or ends, and a heartbeat feeds systemd
//! as long as the last note is not older than the longest wait there is. The heartbeat runs on the
//! loop's own thread: if that hangs, it hangs with it, and `WatchdogSec=` passes.
//!
//! Until the first round is made it also asks for more time to start: that round, and what is done once
//! before it, may each wait for another command's lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use companion_core::reconciler::{Event, EventSink, Limits};
use sd_notify::NotifyState;
use tokio::time::Instant;

/// The longest time within a round without a step beginning or ending: before the first step it waits
/// for the host's lock and makes four reads (of the record; of hooks, images and the list of units at
/// once; of units and services at once; of containers). No step takes as long.
fn longest_wait(limits: &Limits) -> Duration {
    (5 * limits.read).max(limits.reload).max(limits.act)
}

/// When the loop was last seen alive.
#[derive(Debug)]
pub(super) struct Pulse {
    last: Mutex<Instant>,
    patience: Duration,
    started: AtomicBool,
}

impl Pulse {
    /// A pulse of a loop that rests for `tick` between two rounds.
    pub(super) fn new(tick: Duration) -> Self {
        let patience = tick + longest_wait(&Limits::default());
        Self { last: Mutex::new(Instant::now()), patience, started: AtomicBool::new(false) }
    }

    /// Notes that the first round was made; says whether it was the first time.
    pub(super) fn start(&self) -> bool {
        !self.started.swap(true, Ordering::Relaxed)
    }

    /// Notes that the loop is alive.
    pub(super) fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_alive(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() <= self.patience
    }

    /// Feeds systemd's watchdog, if there is one, from the thread it is called on.
    pub(super) fn spawn_heartbeat(self: &Arc<Self>) {
        let Some(limit) = sd_notify::watchdog_enabled() else { return };
        let pulse = Arc::clone(self);
        tokio::spawn(async move {
            // Half of the limit is what sd_watchdog_enabled(3) recommends; a third leaves room for
            // a busy machine.
            let mut beats = tokio::time::interval(limit / 3);
            let more = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
            loop {
                beats.tick().await;
                let starting = !pulse.started.load(Ordering::Relaxed);
                if pulse.is_alive() {
                    super::tell_systemd(&[NotifyState::Watchdog]);
                    if starting {
                        super::tell_systemd(&[NotifyState::ExtendTimeoutUsec(more)]);
                    }
                } else {
                    tracing::error!("no step of a round began or ended for too long");
                }
            }
        });
    }
}

impl EventSink for Pulse {
    fn on_event(&self, _event: &Event<'_>) {
        self.beat();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_round_that_waits_for_the_lock_and_reads_slowly_is_alive() {
        let (tick, limits) = (Duration::from_secs(30), Limits::default());
        let pulse = Pulse::new(tick);
        tokio::time::advance(tick + 5 * limits.read).await;
        assert!(pulse.is_alive());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_is_not_fed_for_ever() {
        let pulse = Pulse::new(Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(570)).await;
        assert!(pulse.is_alive());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!pulse.is_alive());
        pulse.beat();
        assert!(pulse.is_alive());
    }
}
