//! The plan: ordered steps with reasons, and blocked work with the conditions it waits on.
//!
//! A plan is plain data. Printing it is a dry run; executing it requires no further decisions.

use std::fmt;

use serde::Serialize;

use crate::model::companion::CompanionName;
use crate::model::desired::Generation;
use crate::model::hook::{ConfigId, HookSpec, StaleCause};
use crate::model::image::{ImageId, ImageSource};
use crate::model::observed::Work;
use crate::model::revision::{Fingerprint, Revision};
use crate::model::service::{RunState, ServiceState};
use crate::model::unit::UnitSpec;

mod blocked;

pub use blocked::{Blocked, WaitingOn};

/// The plan of one reconcile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a plan has no effect until it is executed"]
pub struct Plan {
    /// The steps, in execution order.
    pub steps: Vec<Step>,
    /// Differences from the desired state that are not changed now.
    pub blocked: Vec<Blocked>,
    /// Attempted work that is in the desired state.
    pub recovered: Vec<(CompanionName, Work)>,
    /// Running work whose input changed: it is cancelled, and started again after it ended.
    pub superseded: Vec<(CompanionName, Work)>,
}

impl Plan {
    /// Returns whether there are no steps and no blocking conditions.
    pub fn is_converged(&self) -> bool {
        self.steps.is_empty() && self.blocked.is_empty()
    }

    /// Returns the blocking conditions of `name` in the order they were found.
    pub fn blocked(&self, name: &CompanionName) -> impl Iterator<Item = &Blocked> {
        self.blocked.iter().filter(move |blocked| blocked.companion == *name)
    }

    /// Returns the steps of `name`, and the shared load if it needs it.
    pub fn serving(&self, name: &CompanionName) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.serves(name))
    }

    /// Returns whether there are no steps and no blocking conditions for `name`.
    pub fn is_converged_for(&self, name: &CompanionName) -> bool {
        self.serving(name).next().is_none() && self.blocked(name).next().is_none()
    }
}

/// One step, and its reason: an action for one companion, or the load that all who need it share.
///
/// It is executed only if all earlier steps that serve its companion succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// The companions that it serves, and digests of the inputs of their attempts: back-off applies only to an
    /// attempt with the same inputs.
    pub serves: Vec<(CompanionName, Fingerprint)>,
    /// The generation of its companion's intent; the shared load has none.
    pub generation: Generation,
    /// The action.
    pub action: Action,
    /// The kind of work; failures are counted per kind.
    pub work: Work,
    /// The reason; of the shared load that of one companion.
    pub reason: Reason,
}

/// One action, named after the tool's verb. Each is one port call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Renders a companion's configuration.
    RunHook {
        /// The hook.
        hook: HookSpec,
        /// The rendered files named by the unit or a process.
        claimed: Vec<ConfigId>,
    },
    /// Builds or pulls an image.
    EnsureImage(ImageSource),
    /// Writes a unit file.
    WriteUnit(Box<UnitSpec>),
    /// Removes a unit file.
    RemoveUnit,
    /// Loads the units of the store into the service manager (`systemctl daemon-reload`).
    LoadUnits,
    /// Resets a service's failed state.
    ResetFailed,
    /// Starts a service if the condition still holds.
    StartUnit(Condition),
    /// Restarts a service if the condition still holds.
    RestartUnit(Condition),
    /// Stops a service, or only cancels its next restart if the condition still holds.
    StopUnit(Option<Condition>),
    /// Removes a rendered configuration.
    RemoveConfig(HookSpec),
    /// Removes a container without a unit.
    RemoveContainer,
    /// Removes managed images that were replaced by newer ones.
    PruneImages(Vec<ImageId>),
    /// Removes rendered files that were replaced by newer ones.
    SweepConfigs {
        /// The hook that rendered them.
        hook: HookSpec,
        /// The file to keep.
        keep: ConfigId,
    },
}

impl Action {
    /// Returns the kind of work.
    pub fn work(&self) -> Work {
        match self {
            Self::RunHook { .. } => Work::Hook,
            Self::EnsureImage(_) => Work::Image,
            Self::PruneImages(_) | Self::SweepConfigs { .. } => Work::Prune,
            Self::WriteUnit(_) => Work::Unit,
            Self::LoadUnits => Work::Load,
            Self::ResetFailed | Self::StartUnit(_) | Self::RestartUnit(_) => Work::Service,
            Self::StopUnit(_)
            | Self::RemoveUnit
            | Self::RemoveConfig(_)
            | Self::RemoveContainer => Work::Removal,
        }
    }

    /// Returns the verb, for messages and metrics.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::RunHook { .. } => "run-hook",
            Self::EnsureImage(_) => "ensure-image",
            Self::WriteUnit(_) => "write-unit",
            Self::RemoveUnit => "remove-unit",
            Self::LoadUnits => "load-units",
            Self::ResetFailed => "reset-failed",
            Self::StartUnit(_) => "start",
            Self::RestartUnit(_) => "restart",
            Self::StopUnit(_) => "stop",
            Self::RemoveConfig(_) => "remove-config",
            Self::RemoveContainer => "remove-container",
            Self::PruneImages(_) => "prune-images",
            Self::SweepConfigs { .. } => "sweep-configs",
        }
    }

    /// Returns the condition to check right before the action.
    pub fn condition(&self) -> Option<&Condition> {
        match self {
            Self::StartUnit(condition)
            | Self::RestartUnit(condition)
            | Self::StopUnit(Some(condition)) => Some(condition),
            _ => None,
        }
    }
}

/// The precondition of a start, a restart or its cancellation.
///
/// It is checked again right before the action, because an operator may have changed the service since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The required revision of the loaded unit; nothing else is started.
    pub loaded: Revision,
    /// Why the action is needed.
    pub need: Need,
}

/// Why a start or restart is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// It does not run.
    NotRunning,
    /// It runs another revision, or waits for the restart of one.
    OtherRevision,
    /// Its processes are frozen.
    Frozen,
    /// It is about to restart.
    BetweenRestarts,
}

impl Condition {
    /// Returns whether the action is still needed for the current state of the service.
    pub fn holds(&self, service: &ServiceState) -> bool {
        let needed = match self.need {
            Need::NotRunning => service.is_down(),
            Need::OtherRevision => service.running != Some(self.loaded),
            Need::Frozen => service.frozen,
            Need::BetweenRestarts => service.run == RunState::BetweenRestarts && !service.busy,
        };
        needed && service.loaded() == Some(self.loaded)
    }
}

/// The reason of a step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The rendered configuration is missing.
    #[error("configuration is missing")]
    ConfigMissing,
    /// The configuration would be rendered differently now.
    #[error("configuration changed")]
    ConfigChanged,
    /// The rendered file was lost or modified outside companion, and the running process may have used it.
    #[error("configuration was lost or modified outside companion")]
    ConfigRestored,
    /// The configuration is writable by others.
    #[error("configuration is writable by others")]
    ConfigWritableByOthers,
    /// The configuration is readable by others.
    #[error("configuration is readable by others")]
    ConfigReadableByOthers,
    /// The hook's output does not link to the configuration.
    #[error("link to the configuration is missing or points elsewhere")]
    ConfigUnlinked,
    /// The image is not on the host.
    #[error("image is missing")]
    ImageMissing,
    /// The image is damaged in the image store.
    #[error("image is damaged in the image store")]
    ImageDamaged,
    /// The image's build context changed.
    #[error("build context changed")]
    ContextChanged,
    /// The companion's image changed.
    #[error("image changed")]
    ImageChanged,
    /// The unit file is missing.
    #[error("unit file is missing")]
    UnitFileMissing,
    /// The unit file was modified outside companion.
    #[error("unit file differs from the rendered unit")]
    UnitFileDrifted,
    /// The same specification is rendered differently than before.
    #[error("this version of companion or Podman renders the unit differently")]
    RendererChanged,
    /// The unit file is writable by others.
    #[error("unit file is writable by others")]
    UnitFileWrongMode,
    /// The companion's specification changed.
    #[error("specification changed")]
    SpecChanged,
    /// The loaded unit differs from the unit file.
    #[error("loaded unit differs from the unit file")]
    LoadedUnitStale,
    /// A tampered unit was restored, and the running process may have been started from it.
    #[error("unit was modified outside companion")]
    UnitRestored,
    /// The running revision is unknown.
    #[error("running revision unknown")]
    RevisionUnknown,
    /// The service does not run.
    #[error("not running")]
    NotRunning,
    /// The service failed: how.
    #[error("failed: {0}")]
    Failed(String),
    /// The processes are frozen.
    #[error("frozen")]
    Frozen,
    /// An unmanaged container has its name.
    #[error("an unmanaged container has its name")]
    NameTaken,
    /// The companion was removed.
    #[error("app was removed")]
    Removed,
    /// It was replaced by newer images or rendered files.
    #[error("replaced by newer images or files")]
    Superseded,
}

impl From<StaleCause> for Reason {
    fn from(cause: StaleCause) -> Self {
        match cause {
            StaleCause::Missing => Self::ConfigMissing,
            StaleCause::Changed => Self::ConfigChanged,
            StaleCause::WritableByOthers => Self::ConfigWritableByOthers,
            StaleCause::ReadableByOthers => Self::ConfigReadableByOthers,
            StaleCause::Unlinked => Self::ConfigUnlinked,
        }
    }
}

impl Step {
    /// Returns the companion; `None` for the shared load.
    pub fn companion(&self) -> Option<&CompanionName> {
        let name = self.serves.first().map(|(name, _input)| name);
        name.filter(|_| self.action != Action::LoadUnits)
    }

    /// Returns whether it serves `name`.
    pub fn serves(&self, name: &CompanionName) -> bool {
        self.serves.iter().any(|(served, _input)| served == name)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.verb())?;
        if let Some(companion) = self.companion() {
            write!(f, " {companion}")?;
        }
        write!(f, ": {}", self.reason)
    }
}
