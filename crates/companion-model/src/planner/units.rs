//! The third stage: the unit file and the loaded unit.

use super::{CompanionPlan, services};
use crate::model::desired::DesiredCompanion;
use crate::model::hook::ConfigId;
use crate::model::image::PresentImage;
use crate::model::observed::{Observation, Work};
use crate::model::revision::Revision;
use crate::model::service::{LoadedUnit, ServiceState};
use crate::model::unit::{ContainerState, UnitFile, UnitFileState};
use crate::plan::{Action, Reason, WaitingOn};

/// The unit that the service stage may start.
pub(super) struct Unit {
    /// The revision that is loaded, or will be after this plan's load.
    pub(super) revision: Revision,
    /// Whether it is loaded already.
    pub(super) is_loaded: bool,
}

/// Plans writing and loading the unit. Returns the unit to start, or `None` if the service stage must wait.
pub(super) fn rule(
    plan: &mut CompanionPlan<'_>,
    desired: &DesiredCompanion,
    image: &PresentImage,
    config: Option<ConfigId>,
    service: &ServiceState,
) -> Option<Unit> {
    let file = plan.read("unit file", Some(&plan.seen.unit))?;
    if is_blocked_by_others(plan, file, service) {
        return None;
    }
    let wanted = desired.revision(image, config).with_rendering(file.rendering);
    let write = |plan: &mut CompanionPlan<'_>, revision, reason, input| {
        let may_write = !plan.backs_off(Work::Unit, input);
        if may_write {
            let unit = Box::new(desired.unit(&image.id, revision));
            plan.step(Action::WriteUnit(unit), reason, input);
        }
        may_write
    };
    let reason = match &file.state {
        UnitFileState::Current { revision } => {
            plan.recovered(Work::Unit);
            return loaded(plan, wanted, *revision, service);
        }
        UnitFileState::WrongMode { revision } => {
            // The bytes do not change, so neither a load nor a restart is needed.
            let input = plan.input(&("wrong mode", wanted));
            write(plan, *revision, Reason::UnitFileWrongMode, input);
            return loaded(plan, wanted, *revision, service);
        }
        UnitFileState::Absent => Reason::UnitFileMissing,
        UnitFileState::Outdated { revision } => {
            difference(&wanted, revision).unwrap_or(Reason::RendererChanged)
        }
        UnitFileState::Drifted { revision } => {
            let reason = revision.and_then(|found| difference(&wanted, &found));
            reason.unwrap_or(Reason::UnitFileDrifted)
        }
        // `is_blocked_by_others` reported it.
        UnitFileState::Unmanaged { .. } => return None,
    };
    let revision = to_write(plan, wanted, &file.state, service);
    let input = plan.input(&wanted);
    if !write(plan, revision, reason.clone(), input) {
        return None;
    }
    Some(Unit { revision, is_loaded: !plan.load(input, reason) })
}

/// Returns whether an unmanaged container has the name; if so, adds the condition to the plan, and stops a service
/// that is about to restart, because its start would replace that container.
pub(super) fn container_is_unmanaged(plan: &mut CompanionPlan<'_>, service: &ServiceState) -> bool {
    let (Some(Observation::Known(ContainerState::Unmanaged { what })), Some(file)) =
        (&plan.seen.container, plan.seen.unit.known())
    else {
        return false;
    };
    let held_or_elsewhere =
        matches!(service.unit, LoadedUnit::Held { .. } | LoadedUnit::Elsewhere { .. });
    if held_or_elsewhere || matches!(file.state, UnitFileState::Unmanaged { .. }) {
        return false;
    }
    plan.block(WaitingOn::Conflict { what: what.clone() });
    if service.is_down() {
        plan.recovered(Work::Removal);
    } else {
        services::cancel_restart(plan, service);
    }
    true
}

/// Returns whether an unmanaged object is in the way; if so, adds the condition to the plan.
fn is_blocked_by_others(
    plan: &mut CompanionPlan<'_>,
    file: &UnitFile,
    service: &ServiceState,
) -> bool {
    let waiting_on = match (&file.state, &service.unit, &plan.seen.container) {
        (UnitFileState::Unmanaged { what }, ..) => {
            WaitingOn::Conflict { what: format!("{what} at {}", file.location) }
        }
        (_, LoadedUnit::Held { message }, _) => WaitingOn::Held { message: message.clone() },
        (_, LoadedUnit::Elsewhere { place }, _) => {
            shadowed(plan, place);
            return true;
        }
        (_, _, Some(Observation::Unknown(error))) => super::unread("container", error),
        _ if plan.is_running(Work::Service) => WaitingOn::Running { work: Work::Service },
        _ => return false,
    };
    plan.block(waiting_on);
    true
}

/// Handles a loaded unit from another place.
///
/// One reload is attempted, because that file may no longer exist; then the condition is reported, and nothing
/// is written because it would not be loaded.
fn shadowed(plan: &mut CompanionPlan<'_>, place: &str) {
    let input = plan.input(&("shadowed", place));
    let failure = plan.holding_failure(Work::Load, input);
    if failure.is_some() || !plan.load(input, Reason::LoadedUnitStale) {
        let shadowed = WaitingOn::Shadowed { by: place.to_owned() };
        plan.block_until(shadowed, failure.map(|failure| failure.retry_at));
    }
}

/// Returns the revision to write in place of `file`.
///
/// A unit or a process reports its revision correctly if it came from an unmodified file: it keeps its restart epoch.
/// It may have come from a file that was edited, and deleted since, if the file is missing or drifted, or if it reports the
/// new revision although the file is an older one: then use the next epoch, which nothing reports yet. A run that was
/// observed with the matching file is beyond doubt, so a lost file causes no restart.
fn to_write(
    plan: &CompanionPlan<'_>,
    wanted: Revision,
    file: &UnitFileState,
    service: &ServiceState,
) -> Revision {
    let is_wanted = |claim: &Revision| claim.rendering == wanted.rendering;
    let is_outdated = matches!(file, UnitFileState::Outdated { .. });
    let verified = verified(plan, wanted, service)
        .filter(|run| *file == UnitFileState::Absent || is_outdated && is_wanted(run));
    if let Some(verified) = verified {
        return verified.with_rendering(wanted.rendering);
    }
    let of_file = file.revision().map(|found| (found, is_outdated));
    let reported = [service.unit.revision(), service.running].into_iter().flatten();
    let reported = reported.map(|claim| (claim, is_outdated && !is_wanted(&claim)));
    let claims = of_file.into_iter().chain(reported);
    let epochs = claims
        .filter(|(claim, _)| claim.same_contents(&wanted))
        .map(|(claim, is_true)| claim.restart_epoch.wrapping_add(u32::from(!is_true)));
    wanted.with_restart_epoch(epochs.max().unwrap_or(0))
}

/// Returns the running revision, if this run was observed with a matching file of the contents `wanted`.
fn verified(
    plan: &CompanionPlan<'_>,
    wanted: Revision,
    service: &ServiceState,
) -> Option<Revision> {
    let run = plan.observed.history.runs.get(plan.name)?;
    let is_it = service.is_up() && service.run_id.as_ref() == Some(&run.run_id);
    run.verified
        .filter(|verified| is_it && service.running == Some(*verified))
        .filter(|verified| verified.same_contents(&wanted))
}

/// Returns how the revision `found` differs from the desired one, if it does.
pub(super) fn difference(wanted: &Revision, found: &Revision) -> Option<Reason> {
    if found.spec != wanted.spec {
        Some(Reason::SpecChanged)
    } else if found.image != wanted.image {
        Some(Reason::ImageChanged)
    } else if found.config.map(|id| id.digest) != wanted.config.map(|id| id.digest) {
        Some(Reason::ConfigChanged)
    } else if found.config != wanted.config {
        Some(Reason::ConfigRestored)
    } else {
        None
    }
}

/// Plans loading the current file.
fn loaded(
    plan: &mut CompanionPlan<'_>,
    wanted: Revision,
    revision: Revision,
    service: &ServiceState,
) -> Option<Unit> {
    if service.loaded() == Some(revision) {
        plan.recovered(Work::Load);
        return Some(Unit { revision, is_loaded: true });
    }
    let input = plan.input(&wanted);
    let failure = plan.holding_failure(Work::Load, input);
    if failure.is_none() && plan.load(input, Reason::LoadedUnitStale) {
        return Some(Unit { revision, is_loaded: false });
    }
    // A reload failed or did not load the unit: report its error first, because the loaded unit does not explain why.
    // Where written units take effect immediately, the host cannot use this one, or it changed after it was read.
    let message = match (failure, &service.unit) {
        (Some(failure), LoadedUnit::Absent) => failure.problem.message.clone(),
        (Some(failure), found) => format!("{} ({found})", failure.problem.message),
        (None, found) => found.to_string(),
    };
    plan.block_until(WaitingOn::NotLoaded { message }, failure.map(|failure| failure.retry_at));
    None
}
