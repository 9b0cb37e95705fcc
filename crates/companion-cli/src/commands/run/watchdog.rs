//! The watchdog of systemd: fed while the leader's reconcile loop moves, and for no other reason.
//!
//! It runs on the loop's own thread: if that hangs, it hangs with it, and `WatchdogSec=` passes. Until the
//! first reconcile it also asks for more time to start: the daemon may wait for a command that leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use archipelago::leader::Heartbeat;
use sd_notify::NotifyState;

use super::notify;

/// Feeds systemd's watchdog, if there is one.
#[derive(Debug)]
pub(super) struct Watchdog {
    ready: Arc<AtomicBool>,
}

impl Watchdog {
    /// Feeds it from the thread that this is called on, as long as `heartbeat` beats.
    pub(super) fn start(heartbeat: Arc<Heartbeat>) -> Self {
        let ready = Arc::new(AtomicBool::new(false));
        if let Some(limit) = sd_notify::watchdog_enabled() {
            tokio::spawn(feed(limit, heartbeat, Arc::clone(&ready)));
        }
        Self { ready }
    }

    /// Notes that the first reconcile was made; says whether it was the first time.
    pub(super) fn ready(&self) -> bool {
        !self.ready.swap(true, Ordering::Relaxed)
    }
}

async fn feed(limit: Duration, heartbeat: Arc<Heartbeat>, ready: Arc<AtomicBool>) {
    // Half of the limit is what sd_watchdog_enabled(3) recommends; a third leaves room for a busy machine.
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
                tracing::error!("the reconcile loop has not moved for {} s", time.as_secs());
            }
        }
    }
}
