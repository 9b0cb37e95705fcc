//! The rules of the third stage: the unit file, and the unit that the service manager loaded from it.

use super::CompanionPlan;
use crate::model::desired::DesiredCompanion;
use crate::model::hook::ConfigId;
use crate::model::image::PresentImage;
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::model::revision::{Fingerprint, Revision};
use crate::model::unit::{ContainerState, LoadState, ServiceState, UnitFile, UnitFileState};
use crate::plan::{Action, Reason, WaitingOn};
use crate::ports::PortErrorKind;

/// The unit that the layer above may start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loading {
    /// The revision that is, or after this plan's reload will be, loaded.
    pub(super) revision: Revision,
    /// Whether this plan's reload comes before any start.
    pub(super) after_reload: bool,
}

/// Has the wanted unit written and loaded; `None` when the layer above may not go on.
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
        // `blocked_by_others` has spoken.
        UnitFileState::Unmanaged { .. } => return None,
    };
    let input = plan.input(&wanted);
    if refused(plan, input) || plan.backs_off(Work::Unit, input) {
        return None;
    }
    let unit = Box::new(desired.unit(&image.id, revision));
    let step = plan.step(Action::WriteUnit(unit), reason.clone(), input);
    plan.builder.files.push(step);
    plan.builder.reload.insert(plan.name.clone(), (input, reason));
    Some(Loading { revision, after_reload: true })
}

/// Has a file that says what it should, and that others may write, replaced by one of the same bytes.
///
/// Nothing that was loaded from it becomes untrue, so it costs neither a reload nor a restart.
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

/// Whether something that is not ours to change stands in the way; then says so in the plan.
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
    if service.load == LoadState::Masked {
        plan.block(WaitingOn::Masked);
        return true;
    }
    if shadowed(plan, file, service) {
        return true;
    }
    match &seen.container {
        Some(Observation::Known(ContainerState::Unmanaged { image })) => {
            plan.block(WaitingOn::Conflict { what: format!("a container of image {image}") });
            return true;
        }
        Some(Observation::Unknown(error)) => {
            plan.unknown("container", error);
            return true;
        }
        Some(Observation::Known(ContainerState::Absent | ContainerState::Ours { .. })) | None => {}
    }
    if plan.is_running(Work::Service) {
        plan.block(WaitingOn::Running { work: Work::Service });
        return true;
    }
    false
}

/// Whether the unit that is loaded by this name is from another file than ours.
///
/// One reload is tried, for that file may be gone by now; then it is reported, and nothing written
/// that would not be loaded anyway.
fn shadowed(plan: &mut CompanionPlan<'_, '_>, file: &UnitFile, service: &ServiceState) -> bool {
    if service.load != LoadState::Loaded || service.source.as_ref() == Some(&file.location) {
        return false;
    }
    let by = service.source.clone().unwrap_or_else(|| "a unit that is no Quadlet".to_owned());
    let input = plan.input(&("shadowed", &by));
    match plan.holding_failure(Work::Load, input) {
        Some(failure) => plan.block_until(WaitingOn::Shadowed { by }, failure.retry_at),
        None => {
            plan.builder.reload.insert(plan.name.clone(), (input, Reason::LoadedUnitStale));
        }
    }
    true
}

/// The revision to write where there is no file.
///
/// A run that was seen beneath the true file keeps its restart epoch, so that a file which was merely
/// lost costs no restart. Of any other run only its own word is known, and a unit that was edited,
/// started and then deleted would give the same: the next restart epoch is taken.
fn after_loss(plan: &CompanionPlan<'_, '_>, wanted: Revision, service: &ServiceState) -> Revision {
    match verified(plan, wanted, service) {
        Some(verified) => verified.with_rendering(wanted.rendering),
        None => after_drift(wanted, None, service),
    }
}

/// The revision to write over a file that nobody edited.
///
/// It keeps the restart epoch, for nothing that was started from such a file started from something
/// else. Only what claims the very revision to write, while the file says something else, is not
/// known to be what it claims: unless it was seen beneath the true file, the next restart epoch is taken.
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
    let claimed = [service.loaded, service.running].into_iter().flatten();
    let claimed = claimed.filter(|revision| revision.same_contents(&wanted)).map(restart_epoch);
    let kept = found.same_contents(&wanted).then_some(found.restart_epoch);
    wanted.with_restart_epoch(claimed.chain(kept).max().unwrap_or(0))
}

/// The revision that runs, if this very run was seen beneath a true file of the contents `wanted`.
fn verified(
    plan: &CompanionPlan<'_, '_>,
    wanted: Revision,
    service: &ServiceState,
) -> Option<Revision> {
    let verified = plan.builder.history.verified.get(plan.name)?;
    let is_it = service.is_running()
        && service.running == Some(verified.revision)
        && service.invocation.as_ref() == Some(&verified.invocation)
        && verified.revision.same_contents(&wanted);
    is_it.then_some(verified.revision)
}

/// The revision to write over a drifted file: a restart epoch that no layer has claimed yet.
fn after_drift(wanted: Revision, claimed: Option<Revision>, service: &ServiceState) -> Revision {
    let restart_epoch = [claimed, service.loaded, service.running]
        .into_iter()
        .flatten()
        .filter(|revision| revision.same_contents(&wanted))
        .map(|revision| revision.restart_epoch.wrapping_add(1))
        .max();
    wanted.with_restart_epoch(restart_epoch.unwrap_or(0))
}

/// In which of its contents the revision `found` differs from the one wanted, if in any.
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

/// Whether the host's judge refused this very unit; then says so in the plan, with its words.
fn refused(plan: &mut CompanionPlan<'_, '_>, input: Fingerprint) -> bool {
    let Some(failure) = plan.holding_failure(Work::Unit, input) else {
        return false;
    };
    let refused = failure.kind == PortErrorKind::Invalid;
    if refused {
        plan.block_until(WaitingOn::UnitRefused { words: failure.error }, failure.retry_at);
    }
    refused
}

/// Has the file loaded that is there and true.
fn loaded(
    plan: &mut CompanionPlan<'_, '_>,
    wanted: Revision,
    revision: Revision,
    service: &ServiceState,
) -> Option<Loading> {
    let true_unit = service.load == LoadState::Loaded && service.loaded == Some(revision);
    if true_unit {
        plan.recovered(Work::Load);
        return Some(Loading { revision, after_reload: false });
    }
    let input = plan.input(&wanted);
    let Some(failure) = plan.holding_failure(Work::Load, input) else {
        plan.builder.reload.insert(plan.name.clone(), (input, Reason::LoadedUnitStale));
        return Some(Loading { revision, after_reload: true });
    };
    // A reload was tried and helped nothing, or failed itself: its error comes first, for that the unit is
    // not found says nothing of why.
    let found = service.load_error.clone();
    let found = found.unwrap_or_else(|| format!("load state `{}`", service.load));
    let words = format!("{} ({found})", failure.error);
    plan.block_until(WaitingOn::NotLoaded { words }, failure.retry_at);
    None
}
