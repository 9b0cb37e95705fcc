//! The first stage: the rendered configuration.

use std::collections::BTreeSet;

use super::CompanionPlan;
use super::services::TRANSIENT_POLL;
use crate::model::desired::DesiredCompanion;
use crate::model::hook::{ConfigId, HookSpec, HookState, Link, Rendering, StaleCause};
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::plan::{Action, WaitingOn};

/// Whether the later stages may continue.
#[must_use = "a companion with pending configuration must not be started"]
pub(super) enum Config {
    /// Continue with this file; `None` for a companion without a hook.
    Ready(Option<ConfigId>),
    /// Wait.
    Pending,
}

pub(super) fn rule(
    plan: &mut CompanionPlan<'_, '_>,
    desired: &DesiredCompanion,
    seen: &ObservedCompanion,
) -> Config {
    let Some(hook) = &desired.spec().hook else {
        return Config::Ready(None);
    };
    let state = match &seen.hook {
        Some(Observation::Known(state)) => state,
        Some(Observation::Unknown(error)) => {
            plan.unknown("configuration", error);
            return Config::Pending;
        }
        None => {
            plan.unknown("configuration", "not observed");
            return Config::Pending;
        }
    };
    if plan.is_running(Work::Hook) {
        plan.block(WaitingOn::Running { work: Work::Hook });
        return Config::Pending;
    }
    let claims = seen.claims();
    let claimed: BTreeSet<ConfigId> = claims.iter().filter_map(|claim| claim.config).collect();
    let claimed = Vec::from_iter(claimed);
    let usable = state.usable(&claimed);
    // A companion must restart after a crash even if its backend is down, to show that the backend is down.
    if let Rendering::NotReady { waiting_for } = &state.rendering {
        plan.block(WaitingOn::HookNotReady { waiting_for: waiting_for.clone() });
        return usable.map_or(Config::Pending, |id| Config::Ready(Some(id)));
    }
    match usable {
        Ok(id) if state.link == Link::To(id) => {
            plan.recovered(Work::Hook);
            Config::Ready(Some(id))
        }
        // The link is for people and other programs: companions do not depend on it.
        Ok(id) => {
            render(plan, hook, state, StaleCause::Unlinked, claimed, seen);
            Config::Ready(Some(id))
        }
        Err(cause) => {
            render(plan, hook, state, cause, claimed, seen);
            Config::Pending
        }
    }
}

/// Plans a rendering once the files named by the unit and its processes are known.
fn render(
    plan: &mut CompanionPlan<'_, '_>,
    hook: &HookSpec,
    state: &HookState,
    cause: StaleCause,
    claimed: Vec<ConfigId>,
    seen: &ObservedCompanion,
) {
    if state.link == Link::Unmanaged {
        return plan.block(unmanaged(hook));
    }
    if let Observation::Unknown(error) = &seen.unit {
        return plan.unknown("unit file", error);
    }
    // A starting process does not report its file yet.
    if seen.service.known().is_some_and(|service| service.is_starting()) {
        let retry_at = plan.builder.now.after(TRANSIENT_POLL);
        return plan.block_until(WaitingOn::Starting, retry_at);
    }
    let input = plan.input(&attempt(hook, state));
    if !plan.backs_off(Work::Hook, input) {
        let action = Action::RunHook { hook: hook.clone(), claimed };
        let step = plan.step(action, cause.into(), input);
        plan.builder.background.push(step);
    }
}

/// Returns the condition of an unmanaged object at the output.
pub(super) fn unmanaged(hook: &HookSpec) -> WaitingOn {
    WaitingOn::Conflict { what: format!("neither a link nor a regular file at {}", hook.output) }
}

/// Returns the inputs of a rendering.
pub(super) fn attempt<'s>(
    hook: &'s HookSpec,
    state: &'s HookState,
) -> (&'s HookSpec, &'s Rendering) {
    (hook, &state.rendering)
}
