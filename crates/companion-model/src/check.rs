//! An independent checker of plans: the invariants of every plan.
//!
//! It shares no code with the planner, so that a bug is not repeated. Every test checks every plan, and so does
//! the reconciler.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::model::hook::ConfigFile;
use crate::model::image::ImageId;
use crate::model::observed::{Observation, ObservedCompanion, ObservedState};
use crate::model::revision::Revision;
use crate::model::service::{LoadedUnit, RunState};
use crate::model::unit::{ContainerState, UnitFileState};
use crate::plan::{Action, Condition, Need, Plan, Step};

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
    for step in &plan.steps {
        let Some(name) = step.companion() else { continue };
        let mut breaks = |is_broken: bool, rule: Rule| {
            found.extend(is_broken.then(|| Violation { rule, companion: Some(name.clone()) }));
        };
        let of_name = || plan.steps.iter().filter(|other| other.companion() == Some(name));
        let repeated = of_name().filter(|other| other.action == step.action).count() > 1;
        breaks(repeated || of_name().count() > STEPS_LIMIT, Rule::Bounded);
        breaks(desired.generation(name) != Some(step.generation), Rule::OnlyWhatIsDesired);
        let removes = removes(&step.action);
        breaks(removes.is_some_and(|it| it != desired.removal(name).is_some()), Rule::OneDirection);
        let running = observed.history.running.get(name);
        breaks(running.is_some_and(|it| it.contains_key(&step.work)), Rule::NoSecondWork);
        match observed.companions.get(name) {
            Some(seen) => on_host(&step.action, seen, &mut breaks),
            None => breaks(true, Rule::NothingOnUnknown),
        }
    }
    if !is_in_order(plan, observed) {
        found.insert(Violation { rule: Rule::OneLoadInOrder, companion: None });
    }
    found.into_iter().collect()
}

/// Returns whether only companions pending deletion have this action, or only desired ones; `None` if both do.
fn removes(action: &Action) -> Option<bool> {
    match action {
        Action::StopUnit(None)
        | Action::RemoveUnit
        | Action::RemoveConfig(_)
        | Action::RemoveContainer => Some(true),
        Action::RunHook { .. }
        | Action::EnsureImage(_)
        | Action::WriteUnit(_)
        | Action::StartUnit(_)
        | Action::RestartUnit(_)
        | Action::StopUnit(Some(_))
        | Action::SweepConfigs { .. } => Some(false),
        Action::ResetFailed | Action::PruneImages(_) | Action::LoadUnits => None,
    }
}

fn on_host(action: &Action, seen: &ObservedCompanion, breaks: &mut impl FnMut(bool, Rule)) {
    let (file, service) = (seen.unit.known(), seen.service.known());
    let container = seen.container.as_ref().and_then(Observation::known);
    let hook = seen.hook.as_ref().and_then(Observation::known);
    let touches_unit = !matches!(
        action,
        Action::RunHook { .. }
            | Action::EnsureImage(_)
            | Action::PruneImages(_)
            | Action::SweepConfigs { .. }
    );
    let starts = started(action);

    let unmanaged_file =
        file.is_some_and(|file| matches!(file.state, UnitFileState::Unmanaged { .. }));
    let unmanaged_container = matches!(container, Some(ContainerState::Unmanaged { .. }));
    let replaces = starts.is_some() || *action == Action::RemoveContainer;
    let touches = touches_unit && unmanaged_file || replaces && unmanaged_container;
    breaks(touches, Rule::NothingUnmanaged);

    let is_unread = match action {
        Action::RemoveContainer => container.is_none(),
        Action::RemoveConfig(_) | Action::SweepConfigs { .. } => hook.is_none(),
        // The container is read only where a start would replace it.
        Action::StartUnit(_) | Action::RestartUnit(_) => {
            seen.container.is_some() && container.is_none()
        }
        _ => false,
    };
    // A rendering could restore or remove objects named by an unread unit or process.
    let is_based_on_unit = touches_unit || matches!(action, Action::RunHook { .. });
    let unit_is_unread = file.is_none() || service.is_none();
    breaks(is_unread || is_based_on_unit && unit_is_unread, Rule::NothingOnUnknown);

    let held = service.is_some_and(|service| matches!(service.unit, LoadedUnit::Held { .. }));
    breaks(touches_unit && held, Rule::HoldIsRespected);
    breaks(removes_used(action, &seen.claims()), Rule::NothingInUse);
    let is_restarting = service.is_some_and(|service| service.run == RunState::BetweenRestarts);
    let cancels = matches!(action, Action::StopUnit(Some(_)));
    breaks(cancels && !(is_restarting && unmanaged_container), Rule::NoCauselessRestart);

    let Some(condition) = starts else { return };
    let image = seen.image.as_ref().and_then(Observation::known);
    let config = match (&seen.hook, condition.loaded.config) {
        (None, None) => true,
        (Some(_), Some(id)) => {
            hook.is_some_and(|state| state.files.get(&id) == Some(&ConfigFile::Intact))
        }
        (None, Some(_)) | (Some(_), None) => false,
    };
    let has_image = image.is_some_and(|image| image.present.is_some());
    breaks(!config || !has_image, Rule::StagesBelowFirst);
    let is_causeless = service.is_some_and(|service| {
        let is_healthy = service.running == Some(condition.loaded) && !service.frozen;
        service.is_up() && (is_healthy || condition.need == Need::NotRunning)
    });
    breaks(is_causeless, Rule::NoCauselessRestart);
}

/// Returns the condition of an action that starts a process.
fn started(action: &Action) -> Option<&Condition> {
    match action {
        Action::StartUnit(condition) | Action::RestartUnit(condition) => Some(condition),
        _ => None,
    }
}

/// Returns whether the action removes an object that the companion's own unit or process names.
fn removes_used(action: &Action, claims: &[Revision]) -> bool {
    match action {
        Action::SweepConfigs { keep, .. } => {
            claims.iter().any(|revision| revision.config.is_some_and(|id| id != *keep))
        }
        Action::PruneImages(images) => {
            let images: Vec<_> = images.iter().map(ImageId::fingerprint).collect();
            claims.iter().any(|revision| images.contains(&revision.image))
        }
        _ => false,
    }
}

/// Returns whether `step` changes what a load reads: fixing the mode of a unit with the expected bytes does not.
fn changes_unit(step: &Step, observed: &ObservedState) -> bool {
    match &step.action {
        Action::WriteUnit(unit) => {
            let seen = step.companion().and_then(|name| observed.companions.get(name));
            let fixed = UnitFileState::WrongMode { revision: unit.revision };
            seen.and_then(|seen| seen.unit.known()).is_none_or(|file| file.state != fixed)
        }
        action => *action == Action::RemoveUnit,
    }
}

/// Returns whether each changed unit is loaded afterwards, by the only load, and no unit is started before it is written
/// and loaded.
fn is_in_order(plan: &Plan, observed: &ObservedState) -> bool {
    let is_load = |step: &Step| step.action == Action::LoadUnits;
    let loads = plan.steps.iter().filter(|step| is_load(step)).count();
    let loads_units = observed.traits.loads_units;
    let follow = |(at, step): (usize, &Step)| {
        let Some(name) = step.companion() else { return true };
        let mut later = plan.steps.iter().skip(at).filter(|later| later.serves(name));
        if started(&step.action).is_some() {
            !later.any(|later| is_load(later) || changes_unit(later, observed))
        } else {
            !loads_units || !changes_unit(step, observed) || later.any(is_load)
        }
    };
    loads <= usize::from(loads_units) && plan.steps.iter().enumerate().all(follow)
}
