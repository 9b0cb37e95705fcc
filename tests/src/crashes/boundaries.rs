//! Boundaries: a gate that records every point before and after an effect together with the host, or stops a process
//! at one of them. The caller drops the stopped process.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use adapter_fake::{Counts, EffectPoint, FakeHost, Gate, World};
use async_trait::async_trait;
use tokio::sync::Notify;

use super::Stop;

/// A recorded point.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    /// The point.
    pub(super) point: EffectPoint,
    /// Index of the current workload step.
    pub(super) op: usize,
    /// The host at that moment.
    pub(super) world: World,
    /// The time on the host's clock.
    pub(super) at: std::time::Duration,
    /// The cost of the run so far.
    pub(super) counts: Counts,
}

/// The gate of one run.
pub(super) struct Boundaries {
    host: FakeHost,
    stop: Option<Stop>,
    op: AtomicUsize,
    reached: Mutex<Vec<Reached>>,
    /// The process stopped at the crash point.
    standing: Mutex<Option<u8>>,
    /// Whether that process was dropped; its number may be reused.
    buried: AtomicBool,
    stopped: Notify,
}

impl Boundaries {
    /// A gate for `host` that records all points and optionally stops at one.
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

    /// Sets the current step of the workload.
    pub(super) fn begin(&self, op: usize) {
        self.op.store(op, Ordering::Relaxed);
    }

    /// Returns the current step of the workload.
    pub(super) fn op(&self) -> usize {
        self.op.load(Ordering::Relaxed)
    }

    /// Returns all recorded points in order; empty if the gate was to stop.
    pub(super) fn take(&self) -> Vec<Reached> {
        std::mem::take(&mut locked(&self.reached))
    }

    /// Waits until the whole program must die.
    pub(super) async fn all_stopped(&self) {
        loop {
            let stopped = self.stopped.notified();
            if !self.only_one() && locked(&self.standing).is_some() {
                return;
            }
            stopped.await;
        }
    }

    /// Waits until only `actor` must die.
    pub(super) async fn one_stopped(&self, actor: u8) {
        loop {
            let stopped = self.stopped.notified();
            if self.only_one() && *locked(&self.standing) == Some(actor) {
                return;
            }
            stopped.await;
        }
    }

    /// Records that the stopped process was dropped.
    pub(super) fn bury(&self) {
        self.buried.store(true, Ordering::Relaxed);
    }

    fn only_one(&self) -> bool {
        self.stop.is_some_and(|stop| stop.others_go_on)
    }

    /// Whether the process must block at `point` until it is dropped.
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
