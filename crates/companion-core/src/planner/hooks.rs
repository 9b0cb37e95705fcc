//! The rule of the first layer: the configuration that a hook renders.

use super::CompanionDraft;
use crate::model::desired::DesiredCompanion;
use crate::model::hook::HookState;
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::model::revision::Fingerprint;
use crate::plan::{Action, WaitingOn};

/// Whether the layers above may go on.
#[must_use = "a companion whose configuration is not settled must not be started"]
pub(super) enum Config {
    /// They may, with this configuration; `None` for a companion without a hook.
    Ready(Option<Fingerprint>),
    /// They may not.
    Pending,
}

pub(super) fn rule(
    draft: &mut CompanionDraft<'_, '_>,
    desired: &DesiredCompanion,
    seen: &ObservedCompanion,
) -> Config {
    let Some(hook) = &desired.spec().hook else {
        return Config::Ready(None);
    };
    let state = match &seen.hook {
        Some(Observation::Known(state)) => state,
        Some(Observation::Unknown(error)) => {
            draft.unknown("its configuration", error);
            return Config::Pending;
        }
        None => {
            draft.unknown("its configuration", "nothing was observed of it");
            return Config::Pending;
        }
    };
    if draft.is_running(Work::Hook) {
        draft.block(WaitingOn::Running { work: Work::Hook });
        return Config::Pending;
    }
    match state {
        HookState::Current { config } => {
            draft.healed(Work::Hook);
            Config::Ready(Some(*config))
        }
        // The file that an earlier rendering left is still the best there is: a companion whose
        // backend is down must come back after a crash, if only to say that the backend is down.
        HookState::NotReady { waiting_for, config } => {
            draft.block(WaitingOn::HookNotReady { waiting_for: waiting_for.clone() });
            config.map_or(Config::Pending, |config| Config::Ready(Some(config)))
        }
        HookState::Stale { cause, input } => {
            let input = draft.input(&(input, hook));
            if !draft.backs_off(Work::Hook, input) {
                let step = draft.step(Action::RunHook(hook.clone()), (*cause).into(), input);
                draft.draft.background.push(step);
            }
            Config::Pending
        }
    }
}
