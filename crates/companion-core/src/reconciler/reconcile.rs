//! One reconcile: what is wanted and seen gives a decision. It changes nothing.

use std::collections::BTreeSet;
use std::fmt;

use tracing::{debug, error, warn};

use super::execute::Executor;
use super::observe::observe;
use super::{EventSink, Execution, Limits, Memory, Outcome};
use crate::check::{Violation, check};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::model::observed::ObservedState;
use crate::plan::{Blocked, Plan, Step};
use crate::planner::plan;
use crate::ports::Host;

/// What every part of a reconcile is given.
pub struct Context<'c> {
    /// The ports.
    pub host: &'c Host,
    /// How long their calls may take.
    pub limits: &'c Limits,
    /// Who is told.
    pub events: &'c dyn EventSink,
    /// The share of a back-off's twentieth that is left off, see
    /// [`backoff::delay`](crate::planner::backoff::delay).
    pub jitter: &'c mut (dyn FnMut() -> u16 + Send),
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

/// One reconcile: what was wanted, seen, decided, and what became of it.
#[derive(Debug)]
#[must_use = "a reconcile that nobody reads hides its failures"]
pub struct Reconcile {
    /// What was wanted.
    pub desired: DesiredState,
    /// What was seen.
    pub observed: ObservedState,
    /// What was decided.
    pub plan: Plan,
    /// The rules of [`check`] that the plan breaks: a mistake of ours. Nothing was done for the companions
    /// that they name.
    pub violations: Vec<Violation>,
    /// The companions that it is for; all if none are named.
    pub names: Option<BTreeSet<CompanionName>>,
    /// What became of its steps; empty for a reconcile that only looked.
    pub execution: Execution,
    /// When, on the reconciler's clock.
    pub at: Monotonic,
}

impl Reconcile {
    /// Looks at the host and decides, with what `memory` holds as of its last `catch_up`.
    pub async fn look(
        memory: &Memory,
        desired: DesiredState,
        host: &Host,
        limits: &Limits,
    ) -> Self {
        let (history, now) = (memory.history(), memory.now);
        let observed = observe(host, &desired, &history, limits).await;
        if let Some(error) = &observed.listing_error {
            warn!("units that nobody wished for cannot be looked for: {error}");
        }
        let plan = plan(&desired, &observed, now);
        debug!(steps = plan.steps.len(), blocked = plan.blocked.len(), "planned");
        let violations = check(&plan, &desired, &observed);
        let execution = Execution::default();
        Self { desired, observed, plan, violations, names: None, execution, at: now }
    }

    /// Leaves to another reconcile what concerns none of `names`. What was decided about others stays readable.
    pub fn restrict_to(&mut self, names: &BTreeSet<CompanionName>) {
        self.names = Some(names.clone());
    }

    /// The steps that are carried out: those that concern the companions that the reconcile is for, but for
    /// companions whose part of the plan breaks a rule. A rule that the plan as a whole breaks stops all
    /// of it.
    pub fn steps(&self) -> Vec<Step> {
        let mut plan = self.plan.clone();
        if let Some(names) = &self.names {
            plan = plan.restrict_to(names);
        }
        plan.steps.retain(|step| !self.is_unsound(step.companion.as_ref()));
        plan.steps
    }

    /// Whether the plan breaks a rule for this companion, or as a whole.
    fn is_unsound(&self, name: Option<&CompanionName>) -> bool {
        let concerns = |of: &Option<CompanionName>| of.is_none() || (of.as_ref() == name);
        self.violations.iter().any(|violation| concerns(&violation.companion))
    }

    /// What carries out [`steps`](Self::steps).
    pub fn executor(&self) -> Executor {
        for violation in &self.violations {
            error!("invariant violation: the plan breaks {violation}; that part is not executed");
        }
        Executor::new(self.steps(), self.at)
    }

    /// Whether nothing more comes of `name` by itself within moments, see [`is_settled`](Self::is_settled).
    pub fn is_settled_for(&self, name: &CompanionName) -> bool {
        let passes = |blocked: &Blocked| blocked.waiting_on.is_transient();
        self.is_unsound(Some(name))
            || (self.plan.serving(name).next().is_none() && !self.plan.blocked(name).any(passes))
    }

    /// Whether no further reconcile is worth making before the next resync or event: there was nothing to
    /// do, and nothing that passes by itself within moments is waited for. A part of a plan that breaks a
    /// rule is not carried out, and so nothing comes of making it again.
    pub fn is_settled(&self) -> bool {
        let waits = |blocked: &Blocked| {
            blocked.waiting_on.is_transient() && !self.is_unsound(Some(&blocked.companion))
        };
        let is_asked_for = |blocked: &&Blocked| {
            self.names.as_ref().is_none_or(|names| names.contains(&blocked.companion))
        };
        self.steps().is_empty() && !self.plan.blocked.iter().filter(is_asked_for).any(waits)
    }
}

/// A pass: the reconciles from a first look until nothing moved any more.
#[derive(Debug)]
#[must_use = "only the last reconcile says whether the companions run"]
pub struct Convergence {
    /// The number of reconciles.
    pub reconciles: usize,
    /// The steps that were taken, each with what became of it.
    pub steps: Vec<(Step, Outcome)>,
    /// The last reconcile.
    pub last: Reconcile,
}
