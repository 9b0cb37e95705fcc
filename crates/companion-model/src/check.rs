//! An independent checker of plans: the invariants of every plan.
//!
//! It shares no code with the planner, so that a bug is not repeated. Every test checks every plan, and so does
//! the reconciler.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::model::hook::ConfigFile;
use crate::model::observed::{ObservedCompanion, ObservedState};
use crate::model::service::{LoadedUnit, RunState};
use crate::model::unit::{ContainerState, UnitFileState};
use crate::plan::{Action, CompanionStep, Need, Plan, Step};

/// The maximum number of steps per companion in one plan.
pub const STEPS_LIMIT: usize = 6;

/// A violated rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The companion, if it concerns one.
    pub companion: Option<CompanionName>,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Steps are only for companions in the desired state or pending deletion, with the generation of the
    /// intent.
    OnlyWhatIsDesired,
    /// Companions pending deletion are only removed, and desired ones are never removed.
    OneDirection,
    /// Unmanaged objects are not changed.
    NothingUnmanaged,
    /// Nothing is stopped or removed because of an unknown state.
    NothingOnUnknown,
    /// There is at most one reload, after all file changes and before every start that requires it.
    OneLoadInOrder,
    /// Nothing is started before its image and its configuration exist.
    StagesBelowFirst,
    /// A file or an image named by a unit or a process is not removed.
    NothingInUse,
    /// A service that runs in the desired state is not restarted, and a restart is cancelled only before it would
    /// replace an unmanaged container.
    NoCauselessRestart,
    /// No action is planned twice, and no companion has more than [`STEPS_LIMIT`] steps.
    Bounded,
    /// A unit that the operator holds back is not changed.
    HoldIsRespected,
    /// Running work is not started again.
    NoSecondWork,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.rule)?;
        match &self.companion {
            Some(name) => write!(f, " for `{name}`"),
            None => Ok(()),
        }
    }
}

/// Returns the rules that `plan` breaks, given its inputs; empty for a valid plan.
pub fn check(plan: &Plan, desired: &DesiredState, observed: &ObservedState) -> Vec<Violation> {
    let mut found = BTreeSet::new();
    let mut counts: BTreeMap<&CompanionName, usize> = BTreeMap::new();
    for step in plan.steps.iter().filter_map(Step::as_companion) {
        let name = &step.companion;
        *counts.entry(name).or_default() += 1;
        let mut report = |rule| {
            found.insert(Violation { rule, companion: Some(name.clone()) });
        };
        let seen = observed.companions.get(name);
        intended(step, desired).into_iter().for_each(&mut report);
        match seen {
            Some(seen) => on_host(step, seen).into_iter().for_each(&mut report),
            None => report(Rule::NothingOnUnknown),
        }
        let running = observed.history.running.get(name);
        if running.is_some_and(|running| running.contains_key(&step.work)) {
            report(Rule::NoSecondWork);
        }
    }
    for (name, count) in counts {
        let twice = plan
            .steps(name)
            .any(|step| plan.steps(name).filter(|other| other.action == step.action).count() > 1);
        if count > STEPS_LIMIT || twice {
            found.insert(Violation { rule: Rule::Bounded, companion: Some(name.clone()) });
        }
    }
    found.extend(load_order(plan, observed));
    found.into_iter().collect()
}

fn intended(step: &CompanionStep, desired: &DesiredState) -> Vec<Rule> {
    let mut broken = Vec::new();
    let name = &step.companion;
    if desired.generation(name) != Some(step.generation) {
        broken.push(Rule::OnlyWhatIsDesired);
    }
    let takes_down = match step.action {
        Action::StopUnit
        | Action::RemoveUnit
        | Action::RemoveConfig(_)
        | Action::RemoveContainer => Some(true),
        Action::RunHook { .. }
        | Action::EnsureImage(_)
        | Action::WriteUnit(_)
        | Action::StartUnit(_)
        | Action::RestartUnit(_)
        | Action::CancelRestart(_)
        | Action::SweepConfigs { .. } => Some(false),
        Action::ResetFailed | Action::PruneImages(_) => None,
    };
    if takes_down.is_some_and(|down| down != desired.removal(name).is_some()) {
        broken.push(Rule::OneDirection);
    }
    broken
}

fn has_unmanaged_container(seen: &ObservedCompanion) -> bool {
    let container = seen.container.as_ref().and_then(|container| container.known());
    matches!(container, Some(ContainerState::Unmanaged { .. }))
}

/// Returns whether the service is about to restart in place of an unmanaged container.
fn restart_replaces_unmanaged(seen: &ObservedCompanion) -> bool {
    let service = seen.service.known();
    service.is_some_and(|service| service.run == RunState::BetweenRestarts)
        && has_unmanaged_container(seen)
}

fn on_host(step: &CompanionStep, seen: &ObservedCompanion) -> Vec<Rule> {
    let mut broken = Vec::new();
    let touches_unit = !matches!(
        step.action,
        Action::RunHook { .. }
            | Action::EnsureImage(_)
            | Action::PruneImages(_)
            | Action::SweepConfigs { .. }
    );
    let unmanaged_file =
        seen.unit.known().is_some_and(|file| matches!(file.state, UnitFileState::Unmanaged { .. }));
    let unmanaged_container = has_unmanaged_container(seen);
    if touches_unit && unmanaged_file {
        broken.push(Rule::NothingUnmanaged);
    }
    let replaces = matches!(step.action, Action::StartUnit(_) | Action::RestartUnit(_))
        || step.action == Action::RemoveContainer;
    if replaces && unmanaged_container {
        broken.push(Rule::NothingUnmanaged);
    }
    if touches_unit && (seen.unit.known().is_none() || seen.service.known().is_none())
        || is_unread(step, seen)
    {
        broken.push(Rule::NothingOnUnknown);
    }
    let service = seen.service.known();
    let held = service.is_some_and(|service| matches!(service.unit, LoadedUnit::Held { .. }));
    if touches_unit && held {
        broken.push(Rule::HoldIsRespected);
    }
    if removes_used(step, seen) {
        broken.push(Rule::NothingInUse);
    }
    let cancels = matches!(step.action, Action::CancelRestart(_));
    if cancels && !restart_replaces_unmanaged(seen) {
        broken.push(Rule::NoCauselessRestart);
    }
    broken.extend(on_start(step, seen));
    broken
}

/// Returns whether the step removes an object named by the companion's own unit or process.
fn removes_used(step: &CompanionStep, seen: &ObservedCompanion) -> bool {
    let claims = seen.claims();
    match &step.action {
        Action::SweepConfigs { keep, .. } => {
            claims.iter().any(|revision| revision.config.is_some_and(|id| id != *keep))
        }
        Action::PruneImages(images) => {
            let images: Vec<_> = images.iter().map(|id| id.fingerprint()).collect();
            claims.iter().any(|revision| images.contains(&revision.image))
        }
        _ => false,
    }
}

/// Returns whether the step removes or replaces an object in an unknown state.
fn is_unread(step: &CompanionStep, seen: &ObservedCompanion) -> bool {
    let known_container = seen.container.as_ref().is_some_and(|seen| seen.known().is_some());
    match step.action {
        Action::RemoveContainer => !known_container,
        Action::RemoveConfig(_) | Action::SweepConfigs { .. } => {
            seen.hook.as_ref().and_then(|hook| hook.known()).is_none()
        }
        // The container is read only where a start would replace it.
        Action::StartUnit(_) | Action::RestartUnit(_) => {
            seen.container.is_some() && !known_container
        }
        // Objects named by an unread unit or process could be restored or removed.
        Action::RunHook { .. } => seen.unit.known().is_none() || seen.service.known().is_none(),
        Action::EnsureImage(_)
        | Action::WriteUnit(_)
        | Action::RemoveUnit
        | Action::ResetFailed
        | Action::StopUnit
        | Action::CancelRestart(_)
        | Action::PruneImages(_) => false,
    }
}

fn on_start(step: &CompanionStep, seen: &ObservedCompanion) -> Vec<Rule> {
    let (Action::StartUnit(condition) | Action::RestartUnit(condition)) = &step.action else {
        return Vec::new();
    };
    let mut broken = Vec::new();
    let image = seen.image.as_ref().and_then(|image| image.known());
    let config = match (seen.hook.as_ref().map(|hook| hook.known()), condition.loaded.config) {
        (None, None) => true,
        (Some(Some(state)), Some(id)) => state.files.get(&id) == Some(&ConfigFile::Intact),
        (None, Some(_)) | (Some(_), _) => false,
    };
    if !config || image.is_none_or(|image| image.present.is_none()) {
        broken.push(Rule::StagesBelowFirst);
    }
    let healthy = seen.service.known().is_some_and(|service| {
        service.is_up() && service.running == Some(condition.loaded) && !service.frozen
    });
    let start_of_running = condition.need == Need::NotRunning
        && seen.service.known().is_some_and(|service| service.is_up());
    if healthy || start_of_running {
        broken.push(Rule::NoCauselessRestart);
    }
    broken
}

/// Returns whether `step` changes what a load reads: fixing the mode of a unit with the expected bytes does not.
fn changes_unit(step: &CompanionStep, observed: &ObservedState) -> bool {
    match &step.action {
        Action::WriteUnit(unit) => {
            let seen = observed.companions.get(&step.companion).and_then(|seen| seen.unit.known());
            let fixed = UnitFileState::WrongMode { revision: unit.revision };
            seen.is_none_or(|file| file.state != fixed)
        }
        Action::RemoveUnit => true,
        _ => false,
    }
}

/// Units are changed before the only load, and started after it.
fn load_order(plan: &Plan, observed: &ObservedState) -> Option<Violation> {
    let steps = || plan.steps.iter().enumerate();
    let own = || steps().filter_map(|(at, step)| Some((at, step.as_companion()?)));
    let mut loads = steps().filter(|(_, step)| matches!(step, Step::Load(_))).map(|(at, _)| at);
    let load = loads.next();
    let changed: BTreeSet<_> = own()
        .filter(|(_, step)| changes_unit(step, observed))
        .map(|(at, step)| (&step.companion, at))
        .collect();
    let loads_units = observed.traits.loads_units;
    let late_change = changed.iter().any(|(_, at)| load.is_none_or(|load| load < *at));
    let mut starts = own()
        .filter(|(_, step)| matches!(step.action, Action::StartUnit(_) | Action::RestartUnit(_)));
    let early_start = starts.any(|(at, step)| {
        let changed_at = changed.iter().find(|(name, _)| **name == step.companion);
        if !loads_units {
            return step.after_load || changed_at.is_some_and(|(_, changed)| *changed > at);
        }
        let needs_load = step.after_load || changed_at.is_some();
        needs_load && (!step.after_load || load.is_none_or(|load| load > at))
    });
    let late_change = late_change && loads_units;
    let needless_load = load.is_some() && !loads_units;
    (loads.next().is_some() || needless_load || late_change || early_start)
        .then_some(Violation { rule: Rule::OneLoadInOrder, companion: None })
}
