//! The parts of a reconcile, one port call at a time.
//!
//! [`Reconciler`](super::Reconciler) runs these parts in order and decides nothing else. Between two calls all
//! state is plain data, so another driver can stop, clone and continue a reconcile anywhere:
//!
//! 1. The leader reads the desired state through the ports of [`Host`].
//! 2. Finished tasks are [collected](catch_up).
//! 3. [`observe_and_plan`] reads the host and plans, or [`observe_again_and_plan`] reads only what may have changed since
//!    the last reconcile; [`Memory::learn`] updates the memory. [`Reconcile::names`] limits the execution to the
//!    requested companions. Tasks that the plan finds [superseded](crate::plan::Plan::superseded) are cancelled.
//! 4. [`Executor`] executes the plan: [`Executor::step`] makes at most one port call each time, and returns the
//!    [`Task`]s that continue.
//! 5. [`Task::step`] does the same for a task.

use std::collections::BTreeSet;

use tracing::{debug, warn};

pub use super::execute::{Advance, Executor};
use super::observe::observe;
pub use super::tasks::{Stage, Task};
use super::{Event, EventSink, Limits, Reconcile};
use crate::check::check;
use crate::memory::{Ended, Memory};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::planner::plan;
use crate::ports::Host;

/// The context of a reconcile.
pub struct Context<'c> {
    /// The ports.
    pub host: &'c Host,
    /// The time limits of port calls.
    pub limits: &'c Limits,
    /// The event sink.
    pub events: &'c dyn EventSink,
    /// The jitter of the back-off delay, see [`backoff::delay`](crate::planner::backoff::delay).
    pub jitter: &'c mut (dyn FnMut() -> u16 + Send),
}

/// Records in `memory`, as of `now`, the tasks that ended since the last call, and reports them as events.
pub fn catch_up(memory: &mut Memory, now: Monotonic, ended: Vec<Ended>, context: &mut Context<'_>) {
    for Ended { key: (name, work), end, .. } in memory.catch_up(now, ended, context.jitter) {
        context.events.on_event(&Event::WorkEnded(&name, work, end.error()));
    }
}

/// Observes the host and plans, using `memory` as of its last [`catch_up`]. It changes nothing.
pub async fn observe_and_plan(
    memory: &Memory,
    desired: DesiredState,
    host: &Host,
    limits: &Limits,
) -> Reconcile {
    let at = memory.now;
    let observed = observe(host, &desired, &memory.history, limits, true).await;
    if let Some(error) = &observed.listing_error {
        warn!("failed to list managed units: {error}");
    }
    let plan = plan(&desired, &observed, at);
    debug!(steps = plan.steps.len(), blocked = plan.blocked.len(), "planned");
    let violations = check(&plan, &desired, &observed);
    Reconcile { desired, observed, plan, violations, names: None, outcomes: Vec::new(), at }
}

/// Observes and plans only `names`, which the reconcile `last` [says](Reconcile::to_observe_again); the others stay as in
/// `last`. It changes nothing.
pub async fn observe_again_and_plan(
    memory: &Memory,
    last: Reconcile,
    names: &BTreeSet<CompanionName>,
    host: &Host,
    limits: &Limits,
) -> Reconcile {
    let desired = last.desired.restricted_to(names);
    let observed = observe(host, &desired, &memory.history, limits, false).await;
    let reconcile = last.again(observed, memory.now);
    debug!(companions = names.len(), steps = reconcile.plan.steps.len(), "planned again");
    reconcile
}
