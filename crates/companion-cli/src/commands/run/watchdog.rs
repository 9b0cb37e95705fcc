//! Keep-alive messages for systemd's watchdog, only while the leader's reconcile loop makes progress.
//!
//! They are sent from the thread of the loop: if it hangs, `WatchdogSec=` expires. Until the first reconcile,
//! they also extend the start timeout, because the daemon may wait for a command that leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use archipelago_companions::leader::Heartbeat;
use sd_notify::NotifyState;

use super::notify;

/// Sends keep-alive messages, if systemd's watchdog is enabled.
#[derive(Debug)]
pub(super) struct Watchdog {
    ready: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts the keep-alive messages on the current thread, as long as `heartbeat` is recent.
    pub(super) fn start(heartbeat: Arc<Heartbeat>) -> Self {
        let ready = Arc::new(AtomicBool::new(false));
        if let Some(limit) = sd_notify::watchdog_enabled() {
            tokio::spawn(feed(limit, heartbeat, Arc::clone(&ready)));
        }
        Self { ready }
    }

    /// Records the end of a reconcile; returns whether it was the first.
    pub(super) fn ready(&self) -> bool {
        !self.ready.swap(true, Ordering::Relaxed)
    }
}

async fn feed(limit: Duration, heartbeat: Arc<Heartbeat>, ready: Arc<AtomicBool>) {
    // sd_watchdog_enabled(3) recommends half of the limit; a third leaves a margin for a busy machine.
    let mut beats = tokio::time::interval(limit / 3);
    let more = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
    loop {
        beats.tick().await;
        match heartbeat.stuck_for() {
            None => {
                notify(&[NotifyState::Watchdog]);
                if !ready.load(Ordering::Relaxed) {
                    notify(&[NotifyState::ExtendTimeoutUsec(more)]);
                }
            }
            Some(time) => {
                tracing::error!("the reconcile loop has made no progress for {} s", time.as_secs());
            }
        }
    }
}
