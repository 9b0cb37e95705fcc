//! Boundaries: the gate that notes every point before and after an effect, with the host as it is
//! there, or that stops a process at one of them.
//!
//! It never decides what becomes of a process that stands at its point: whoever runs it drops it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use adapter_fake::{Counts, EffectPoint, FakeHost, Gate, World};
use async_trait::async_trait;
use tokio::sync::Notify;

use super::Stop;

/// A point that was reached.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    /// The point.
    pub(super) point: EffectPoint,
    /// Which step of the workload was under way.
    pub(super) op: usize,
    /// The host at that very moment.
    pub(super) world: World,
    /// When, on the host's clock.
    pub(super) at: std::time::Duration,
    /// What the run had cost by then.
    pub(super) counts: Counts,
}

/// The gate of one run.
pub(super) struct Boundaries {
    host: FakeHost,
    stop: Option<Stop>,
    op: AtomicUsize,
    reached: Mutex<Vec<Reached>>,
    /// The process that stands at the point at which the run is to be stopped.
    standing: Mutex<Option<u8>>,
    /// Whether that process is gone, and another one may have its number.
    buried: AtomicBool,
    stopped: Notify,
}

impl Boundaries {
    /// A gate for `host` that notes all points, and stops at one if it is told to.
    pub(super) fn new(host: &FakeHost, stop: Option<Stop>) -> Self {
        Self {
            host: host.clone(),
            stop,
            op: AtomicUsize::new(0),
            reached: Mutex::default(),
            standing: Mutex::default(),
            buried: AtomicBool::new(false),
            stopped: Notify::new(),
        }
    }

    /// Says which step of the workload is under way from now on.
    pub(super) fn begin(&self, op: usize) {
        self.op.store(op, Ordering::Relaxed);
    }

    /// Which step of the workload is under way.
    pub(super) fn op(&self) -> usize {
        self.op.load(Ordering::Relaxed)
    }

    /// All points that were reached, in order; none when it was to stop.
    pub(super) fn take(&self) -> Vec<Reached> {
        std::mem::take(&mut locked(&self.reached))
    }

    /// Waits until the whole program is to die.
    pub(super) async fn all_stopped(&self) {
        loop {
            let stopped = self.stopped.notified();
            if !self.only_one() && locked(&self.standing).is_some() {
                return;
            }
            stopped.await;
        }
    }

    /// Waits until `actor` alone is to die.
    pub(super) async fn one_stopped(&self, actor: u8) {
        loop {
            let stopped = self.stopped.notified();
            if self.only_one() && *locked(&self.standing) == Some(actor) {
                return;
            }
            stopped.await;
        }
    }

    /// Says that the process which stood at its point is gone.
    pub(super) fn bury(&self) {
        self.buried.store(true, Ordering::Relaxed);
    }

    fn only_one(&self) -> bool {
        self.stop.is_some_and(|stop| stop.others_go_on)
    }

    /// Whether `point` is where its process is to stand until it is dropped.
    fn stands_at(&self, point: &EffectPoint) -> bool {
        let Some(stop) = self.stop.filter(|_| !self.buried.load(Ordering::Relaxed)) else {
            return false;
        };
        let mut standing = locked(&self.standing);
        if standing.is_none() && point.number == stop.at {
            *standing = Some(point.actor);
            self.stopped.notify_waiters();
        }
        standing.is_some_and(|actor| !stop.others_go_on || actor == point.actor)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Gate for Boundaries {
    async fn pass(&self, point: &EffectPoint) {
        if self.stop.is_none() {
            let (point, op) = (point.clone(), self.op());
            let (world, at, counts) = (self.host.world(), self.host.now(), self.host.counts());
            locked(&self.reached).push(Reached { point, op, world, at, counts });
        } else if self.stands_at(point) {
            std::future::pending().await
        }
    }
}
