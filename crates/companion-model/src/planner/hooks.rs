//! The first stage: the rendered configuration.

use std::collections::BTreeSet;

use super::CompanionPlan;
use crate::model::desired::DesiredCompanion;
use crate::model::hook::{ConfigId, HookSpec, HookState, Link, Rendering, StaleCause};
use crate::model::observed::Work;
use crate::plan::{Action, WaitingOn};

/// Whether the later stages may continue.
#[must_use = "a companion with pending configuration must not be started"]
pub(super) enum Config {
    /// Continue with this file; `None` for a companion without a hook.
    Ready(Option<ConfigId>),
    /// Wait.
    Pending,
}

pub(super) fn rule(plan: &mut CompanionPlan<'_>, desired: &DesiredCompanion) -> Config {
    let Some(hook) = &desired.spec().hook else {
        return Config::Ready(None);
    };
    let Some(state) = plan.read("configuration", plan.seen.hook.as_ref()) else {
        return Config::Pending;
    };
    if plan.is_running(Work::Hook) {
        plan.block(WaitingOn::Running { work: Work::Hook });
        return Config::Pending;
    }
    let claims = plan.seen.claims();
    let claimed: BTreeSet<ConfigId> = claims.iter().filter_map(|claim| claim.config).collect();
    let claimed = Vec::from_iter(claimed);
    let usable = state.usable(&claimed);
    // A companion must restart after a crash even if its backend is down, to show that the backend is down.
    if let Rendering::NotReady { waiting_for } = &state.rendering {
        plan.block(WaitingOn::HookNotReady { waiting_for: waiting_for.clone() });
        return usable.map_or(Config::Pending, |id| Config::Ready(Some(id)));
    }
    match usable {
        Ok(id) if state.link == Link::To(id) => plan.recovered(Work::Hook),
        // The link is for people and other programs: companions do not depend on it.
        Ok(_) => render(plan, hook, state, StaleCause::Unlinked, claimed),
        Err(cause) => render(plan, hook, state, cause, claimed),
    }
    usable.map_or(Config::Pending, |id| Config::Ready(Some(id)))
}

/// Plans a rendering once the files named by the unit and its processes are known.
fn render(
    plan: &mut CompanionPlan<'_>,
    hook: &HookSpec,
    state: &HookState,
    cause: StaleCause,
    claimed: Vec<ConfigId>,
) {
    if state.link == Link::Unmanaged {
        return plan.block(unmanaged(hook));
    }
    if plan.read("unit file", Some(&plan.seen.unit)).is_none() {
        return;
    }
    // A starting process does not report its file yet.
    if plan.seen.service.known().is_some_and(|service| service.is_starting()) {
        return plan.wait(WaitingOn::Starting);
    }
    let input = plan.input(&(hook, &state.rendering));
    if !plan.backs_off(Work::Hook, input) {
        plan.step(Action::RunHook { hook: hook.clone(), claimed }, cause.into(), input);
    }
}

/// Returns the condition of an unmanaged object at the output.
pub(super) fn unmanaged(hook: &HookSpec) -> WaitingOn {
    WaitingOn::Conflict { what: format!("neither a link nor a regular file at {}", hook.output) }
}
