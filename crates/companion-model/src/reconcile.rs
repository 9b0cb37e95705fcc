//! The record of a reconcile: desired state, observed state, plan and outcomes.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::check::{Violation, check};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::model::error::Problem;
use crate::model::observed::ObservedState;
use crate::plan::{Action, Blocked, Plan, Step, WaitingOn};
use crate::planner::plan;

/// The result of one reconcile: desired state, observed state, plan and outcomes.
#[derive(Debug)]
#[must_use = "the result contains the failed steps"]
pub struct Reconcile {
    /// The desired state.
    pub desired: DesiredState,
    /// The observed state.
    pub observed: ObservedState,
    /// The plan.
    pub plan: Plan,
    /// The rules of [`check`] that the plan breaks: a bug in the planner. Steps of the named companions were
    /// skipped.
    pub violations: Vec<Violation>,
    /// The companions whose steps are executed; `None` means all.
    pub names: Option<BTreeSet<CompanionName>>,
    /// The outcomes of its [steps](Self::steps); empty for a dry run.
    pub outcomes: Vec<Outcome>,
    /// The time of the reconcile on the reconciler's clock.
    pub at: Monotonic,
}

impl Reconcile {
    /// Returns when to reconcile again without an event.
    pub fn requeue_after(&self) -> Option<Duration> {
        let retry_at = self.plan.blocked.iter().filter_map(|blocked| blocked.retry_at).min();
        retry_at.map(|at| self.at.until(at))
    }

    /// Returns the companions that the next reconcile has to observe if those in `changed` may have changed since this one:
    /// they, those with steps, executed or not, those whose next attempt is due at `now`, and those that could not be
    /// observed. `None` means all: when the desired state is another one, the listing of units failed, or a change
    /// concerns a companion that is not desired.
    ///
    /// The leader changed nothing of the others since they were observed.
    pub fn to_observe_again(
        &self,
        mut changed: BTreeSet<CompanionName>,
        desired: &DesiredState,
        now: Monotonic,
    ) -> Option<BTreeSet<CompanionName>> {
        let served = self.plan.steps.iter().flat_map(|step| &step.serves);
        changed.extend(served.map(|(name, _input)| name.clone()));
        let is_due = |blocked: &&Blocked| {
            blocked.retry_at.is_some_and(|at| at <= now)
                || matches!(blocked.waiting_on, WaitingOn::Observation { .. })
        };
        let due = self.plan.blocked.iter().filter(is_due);
        changed.extend(due.map(|blocked| blocked.companion.clone()));
        let are_desired = changed.iter().all(|name| desired.targets.contains_key(name));
        let is_listed = self.observed.listing_error.is_none();
        (are_desired && is_listed && *desired == self.desired).then_some(changed)
    }

    /// Returns the reconcile that follows this one, in which only the companions of `observed` were observed, at `now`.
    ///
    /// They are planned as if there were no others, but that no image is removed: a unit of another companion may name it.
    /// The plan for the others stays the same.
    pub fn again(self, observed: ObservedState, now: Monotonic) -> Self {
        let names: BTreeSet<CompanionName> = observed.companions.keys().cloned().collect();
        let desired = self.desired.restricted_to(&names);
        let mut plan = plan(&desired, &observed, now);
        plan.steps.retain(|step| !matches!(step.action, Action::PruneImages(_)));
        plan.superseded.retain(|(name, _work)| names.contains(name));
        let violations = check(&plan, &desired, &observed);
        let others = self.plan.blocked.into_iter().filter(|it| !names.contains(&it.companion));
        plan.blocked.extend(others);
        plan.blocked.sort_by(|one, other| one.companion.cmp(&other.companion));
        let mut all = self.observed;
        all.companions.extend(observed.companions);
        Self {
            desired: self.desired,
            observed: ObservedState { history: observed.history, ..all },
            plan,
            violations,
            names: Some(names),
            outcomes: Vec::new(),
            at: now,
        }
    }

    /// The steps to execute: those for the companions in scope whose part of the plan breaks no rule. A
    /// violation by the plan as a whole blocks all steps.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = self.plan.steps.clone();
        steps.retain_mut(|step| {
            // A load also loads other companions' files, but is not their attempt: their files may not be written yet.
            step.serves.retain(|(name, _input)| self.is_in_scope(name));
            !step.serves.is_empty() && !self.is_unsound(step.companion())
        });
        steps
    }

    fn is_in_scope(&self, name: &CompanionName) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name))
    }

    /// Returns whether the plan breaks a rule for this companion, or as a whole.
    fn is_unsound(&self, name: Option<&CompanionName>) -> bool {
        let concerns = |of: &Option<CompanionName>| of.is_none() || (of.as_ref() == name);
        self.violations.iter().any(|violation| concerns(&violation.companion))
    }

    /// Returns whether `name` needs no further reconcile before the next resync or event: no steps are due, no transient
    /// condition is pending, and no work is running, because only its end shows that it is done. Steps that break a rule are
    /// skipped and do not count.
    pub fn is_settled_for(&self, name: &CompanionName) -> bool {
        let passes = |blocked: &Blocked| blocked.waiting_on.is_transient();
        let waits = self.plan.serving(name).next().is_some() || self.plan.blocked(name).any(passes);
        let works = self.observed.history.running.contains_key(name);
        !works && (!waits || self.is_unsound(Some(name)))
    }

    /// Returns whether no companion in scope needs a further reconcile, see [`is_settled_for`](Self::is_settled_for).
    pub fn is_settled(&self) -> bool {
        let desired = self.desired.targets.keys();
        let known = desired.chain(self.observed.history.running.keys());
        let mut names = known.chain(self.observed.companions.keys());
        names.all(|name| !self.is_in_scope(name) || self.is_settled_for(name))
    }
}

/// The result of converging: all reconciles until the state was stable.
#[derive(Debug)]
#[must_use = "the last reconcile contains the final state"]
pub struct Convergence {
    /// The number of reconciles.
    pub reconciles: usize,
    /// The executed steps with their outcomes.
    pub steps: Vec<(Step, Outcome)>,
    /// The last reconcile.
    pub last: Reconcile,
}

/// The outcome of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The call succeeded.
    Done,
    /// It was started and is running; a later reconcile observes its end.
    Started,
    /// It was no longer needed.
    NotNeeded,
    /// It failed.
    Failed(Problem),
    /// An earlier step that it depends on failed.
    Skipped,
}
