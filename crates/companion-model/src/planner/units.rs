//! The third stage: the unit file and the loaded unit.

use super::{CompanionPlan, services};
use crate::model::desired::DesiredCompanion;
use crate::model::error::PortErrorKind;
use crate::model::hook::ConfigId;
use crate::model::image::PresentImage;
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::model::revision::{Fingerprint, Revision};
use crate::model::service::{LoadedUnit, ServiceState};
use crate::model::unit::{ContainerState, UnitFile, UnitFileState};
use crate::plan::{Action, Reason, WaitingOn};

/// The unit that the service stage may start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loading {
    /// The revision that is loaded, or will be after this plan's reload.
    pub(super) revision: Revision,
    /// Whether a start requires this plan's reload.
    pub(super) after_load: bool,
}

/// Plans writing and loading the unit. Returns the unit to start, or `None` if the service stage must wait.
pub(super) fn rule(
    plan: &mut CompanionPlan<'_, '_>,
    desired: &DesiredCompanion,
    image: &PresentImage,
    config: Option<ConfigId>,
    seen: &ObservedCompanion,
) -> Option<Loading> {
    let (file, service) = readable(plan, seen)?;
    if blocked_by_others(plan, file, service, seen) {
        return None;
    }
    let wanted = desired.revision(image, config).with_rendering(file.rendering);
    let (revision, reason) = match &file.state {
        UnitFileState::Current { revision } => {
            plan.recovered(Work::Unit);
            return loaded(plan, wanted, *revision, service);
        }
        UnitFileState::WrongMode { revision } => {
            closed(plan, desired, image, wanted, *revision);
            return loaded(plan, wanted, *revision, service);
        }
        UnitFileState::Absent => (after_loss(plan, wanted, service), Reason::UnitFileMissing),
        UnitFileState::Outdated { revision } => {
            let reason = difference(&wanted, revision).unwrap_or(Reason::RendererChanged);
            (after_rendering(plan, wanted, *revision, service), reason)
        }
        UnitFileState::Drifted { revision } => {
            let reason = revision.and_then(|found| difference(&wanted, &found));
            let reason = reason.unwrap_or(Reason::UnitFileDrifted);
            (after_drift(wanted, *revision, service), reason)
        }
        // `blocked_by_others` reported it.
        UnitFileState::Unmanaged { .. } => return None,
    };
    let input = plan.input(&wanted);
    if refused(plan, input) || plan.backs_off(Work::Unit, input) {
        return None;
    }
    let unit = Box::new(desired.unit(&image.id, revision));
    let step = plan.step(Action::WriteUnit(unit), reason.clone(), input);
    plan.builder.files.push(step);
    let after_load = plan.load(input, reason);
    Some(Loading { revision, after_load })
}

/// Plans the replacement of a file with correct bytes that is writable by others.
///
/// The bytes do not change, so neither a reload nor a restart is needed.
fn closed(
    plan: &mut CompanionPlan<'_, '_>,
    desired: &DesiredCompanion,
    image: &PresentImage,
    wanted: Revision,
    revision: Revision,
) {
    let input = plan.input(&("exposed", wanted));
    if refused(plan, input) || plan.backs_off(Work::Unit, input) {
        return;
    }
    let unit = Box::new(desired.unit(&image.id, revision));
    let step = plan.step(Action::WriteUnit(unit), Reason::UnitFileWrongMode, input);
    plan.builder.files.push(step);
}

fn readable<'s>(
    plan: &mut CompanionPlan<'_, '_>,
    seen: &'s ObservedCompanion,
) -> Option<(&'s UnitFile, &'s ServiceState)> {
    if let Observation::Unknown(error) = &seen.unit {
        plan.unknown("unit file", error);
    }
    Some((seen.unit.known()?, seen.service.known()?))
}

/// Returns whether an unmanaged container has the name; if so, adds the condition to the plan, and stops a service
/// that is about to restart, because its start would replace that container.
pub(super) fn container_is_unmanaged(
    plan: &mut CompanionPlan<'_, '_>,
    seen: &ObservedCompanion,
) -> bool {
    let Some(Observation::Known(ContainerState::Unmanaged { what })) = &seen.container else {
        return false;
    };
    let (Some(file), Some(service)) = (seen.unit.known(), seen.service.known()) else {
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
fn blocked_by_others(
    plan: &mut CompanionPlan<'_, '_>,
    file: &UnitFile,
    service: &ServiceState,
    seen: &ObservedCompanion,
) -> bool {
    if let UnitFileState::Unmanaged { what } = &file.state {
        plan.block(WaitingOn::Conflict { what: format!("{what} at {}", file.location) });
        return true;
    }
    match &service.unit {
        LoadedUnit::Held { message } => {
            plan.block(WaitingOn::Held { message: message.clone() });
            return true;
        }
        LoadedUnit::Elsewhere { place } => {
            shadowed(plan, place);
            return true;
        }
        LoadedUnit::Absent | LoadedUnit::FromStore { .. } | LoadedUnit::Unusable { .. } => {}
    }
    if let Some(Observation::Unknown(error)) = &seen.container {
        plan.unknown("container", error);
        return true;
    }
    if plan.is_running(Work::Service) {
        plan.block(WaitingOn::Running { work: Work::Service });
        return true;
    }
    false
}

/// Handles a loaded unit from another place.
///
/// One reload is attempted, because that file may no longer exist; then the condition is reported, and nothing
/// is written because it would not be loaded.
fn shadowed(plan: &mut CompanionPlan<'_, '_>, place: &str) {
    let input = plan.input(&("shadowed", place));
    let failure = plan.holding_failure(Work::Load, input);
    if failure.is_none() && plan.load(input, Reason::LoadedUnitStale) {
        return;
    }
    let shadowed = WaitingOn::Shadowed { by: place.to_owned() };
    match failure {
        Some(failure) => plan.block_until(shadowed, failure.retry_at),
        None => plan.block(shadowed),
    }
}

/// Returns the revision to write if the file is missing.
///
/// A run observed with the matching file keeps its restart epoch, so a lost file causes no restart. For any
/// other run the reported revision is unverified (the unit may have been edited, started and deleted): use the
/// next restart epoch.
fn after_loss(plan: &CompanionPlan<'_, '_>, wanted: Revision, service: &ServiceState) -> Revision {
    match verified(plan, wanted, service) {
        Some(verified) => verified.with_rendering(wanted.rendering),
        None => after_drift(wanted, None, service),
    }
}

/// Returns the revision to write over an unmodified file.
///
/// It keeps the restart epoch, because processes started from an unmodified file are as reported. If a unit or
/// process already reports the new revision although the file differs, it is unverified: unless that run was
/// observed with the matching file, use the next restart epoch.
fn after_rendering(
    plan: &CompanionPlan<'_, '_>,
    wanted: Revision,
    found: Revision,
    service: &ServiceState,
) -> Revision {
    let verified = verified(plan, wanted, service);
    if let Some(verified) = verified.filter(|verified| verified.rendering == wanted.rendering) {
        return verified;
    }
    let restart_epoch = |revision: Revision| {
        let claims_it = revision.rendering == wanted.rendering;
        revision.restart_epoch.wrapping_add(u32::from(claims_it))
    };
    let claimed = [service.unit.revision(), service.running].into_iter().flatten();
    let claimed = claimed.filter(|revision| revision.same_contents(&wanted)).map(restart_epoch);
    let kept = found.same_contents(&wanted).then_some(found.restart_epoch);
    wanted.with_restart_epoch(claimed.chain(kept).max().unwrap_or(0))
}

/// Returns the running revision, if this run was observed with a matching file of the contents `wanted`.
fn verified(
    plan: &CompanionPlan<'_, '_>,
    wanted: Revision,
    service: &ServiceState,
) -> Option<Revision> {
    let verified = plan.builder.history.verified.get(plan.name)?;
    let is_it = service.is_up()
        && service.running == Some(verified.revision)
        && service.run_id.as_ref() == Some(&verified.run_id)
        && verified.revision.same_contents(&wanted);
    is_it.then_some(verified.revision)
}

/// Returns the revision to write over a drifted file, with a restart epoch that nothing reports yet.
fn after_drift(wanted: Revision, claimed: Option<Revision>, service: &ServiceState) -> Revision {
    let restart_epoch = [claimed, service.unit.revision(), service.running]
        .into_iter()
        .flatten()
        .filter(|revision| revision.same_contents(&wanted))
        .map(|revision| revision.restart_epoch.wrapping_add(1))
        .max();
    wanted.with_restart_epoch(restart_epoch.unwrap_or(0))
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

/// Returns whether the generator rejected this unit; if so, adds the condition with its message.
fn refused(plan: &mut CompanionPlan<'_, '_>, input: Fingerprint) -> bool {
    let Some(failure) = plan.holding_failure(Work::Unit, input) else {
        return false;
    };
    let refused = failure.problem.kind == PortErrorKind::Invalid;
    if refused {
        plan.block_until(
            WaitingOn::UnitRefused { message: failure.problem.message },
            failure.retry_at,
        );
    }
    refused
}

/// Plans loading the current file.
fn loaded(
    plan: &mut CompanionPlan<'_, '_>,
    wanted: Revision,
    revision: Revision,
    service: &ServiceState,
) -> Option<Loading> {
    if service.loaded() == Some(revision) {
        plan.recovered(Work::Load);
        return Some(Loading { revision, after_load: false });
    }
    let input = plan.input(&wanted);
    let Some(failure) = plan.holding_failure(Work::Load, input) else {
        if plan.load(input, Reason::LoadedUnitStale) {
            return Some(Loading { revision, after_load: true });
        }
        // Written units take effect immediately: the host cannot use this one, or it changed after it was read.
        plan.block(WaitingOn::NotLoaded { message: service.unit.to_string() });
        return None;
    };
    // A reload failed or did not load the unit: report its error first, because the loaded unit
    // does not explain why.
    let message = match &service.unit {
        LoadedUnit::Absent => failure.problem.message,
        found => format!("{} ({found})", failure.problem.message),
    };
    plan.block_until(WaitingOn::NotLoaded { message }, failure.retry_at);
    None
}
