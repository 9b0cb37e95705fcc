//! The parts of a reconcile, one port call at a time.
//!
//! [`Reconciler`](super::Reconciler) runs these parts in order and decides nothing else. Between two calls all
//! state is plain data, so another driver can stop, clone and continue a reconcile anywhere:
//!
//! 1. The leader reads the desired state through the ports of [`Host`].
//! 2. Tasks that are [`outdated`](Memory::outdated) are cancelled, and finished ones are [collected](catch_up).
//! 3. [`observe_and_plan`] reads the host and plans, or [`observe_again_and_plan`] reads only what may have changed since
//!    the last reconcile; [`Memory::learn`] updates the memory. [`Reconcile::restrict_to`] limits the execution to the
//!    requested companions.
//! 4. [`prepare`] announces the units that the plan writes.
//! 5. [`Executor`] executes the plan: [`Executor::step`] makes at most one port call each time, and returns the
//!    [`Task`]s that continue.
//! 6. [`Task::step`] does the same for a task.

use std::collections::BTreeSet;
use std::fmt;

use tracing::{debug, warn};

pub use super::execute::{Advance, Executor};
use super::observe::{observe, observe_again};
pub use super::tasks::{Stage, Task};
use super::{Event, EventSink, Execution, Limits, Reconcile};
use crate::check::check;
use crate::memory::{Ended, Memory};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::model::observed::ObservedState;
use crate::model::unit::UnitSpec;
use crate::plan::{Action, Step};
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

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
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
    let observed = observe(host, &desired, &memory.history, limits).await;
    if let Some(error) = &observed.listing_error {
        warn!("failed to list managed units: {error}");
    }
    planned(memory, desired, observed)
}

/// Observes `names`, which are desired, and plans with the others as they were observed `before`. It changes nothing. The
/// result is [restricted](Reconcile::restrict_to) to `names`.
///
/// [`Reconcile::to_observe_again`] returns the names that a reconcile may be limited to.
pub async fn observe_again_and_plan(
    memory: &Memory,
    desired: DesiredState,
    (before, names): (ObservedState, BTreeSet<CompanionName>),
    host: &Host,
    limits: &Limits,
) -> Reconcile {
    let observed = observe_again(host, &desired, &memory.history, limits, (before, &names)).await;
    let reconcile = planned(memory, desired, observed);
    Reconcile { names: Some(names), ..reconcile }
}

fn planned(memory: &Memory, desired: DesiredState, observed: ObservedState) -> Reconcile {
    let at = memory.now;
    let plan = plan(&desired, &observed, at);
    debug!(steps = plan.steps.len(), blocked = plan.blocked.len(), "planned");
    let violations = check(&plan, &desired, &observed);
    let execution = Execution::default();
    Reconcile { desired, observed, plan, violations, names: None, execution, at }
}

/// Lets the host check the units that `reconcile` writes together, if there are several.
pub async fn prepare(reconcile: &Reconcile, host: &Host, limits: &Limits) {
    let steps = reconcile.steps();
    let unit = |step: &Step| match step.action() {
        Some(Action::WriteUnit(unit)) => Some((**unit).clone()),
        _ => None,
    };
    let units: Vec<UnitSpec> = steps.iter().filter_map(unit).collect();
    if units.len() > 1 {
        // A unit that was not prepared is checked when it is written.
        let _ = tokio::time::timeout(limits.act, host.units.prepare(&units)).await;
    }
}
