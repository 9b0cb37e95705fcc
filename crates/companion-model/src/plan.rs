//! The plan: ordered steps with reasons, and blocked work with the conditions it waits on.
//!
//! A plan is plain data. Printing it is a dry run; executing it requires no further decisions.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

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
    /// When to reconcile again without an event.
    pub requeue_after: Option<Duration>,
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

    /// Limits the plan to `names`.
    ///
    /// A reload also loads other companions' files, but does not count as their attempt: their files may not be
    /// written yet.
    pub fn restrict_to(mut self, names: &BTreeSet<CompanionName>) -> Self {
        self.steps.retain(|step| step.serves().any(|name| names.contains(name)));
        for step in &mut self.steps {
            if let Step::Load(load) = step {
                load.wanted_by.retain(|(name, _input)| names.contains(name));
            }
        }
        self.blocked.retain(|blocked| names.contains(&blocked.companion));
        self
    }

    /// Returns the steps of `name`, without the shared reload.
    pub fn steps(&self, name: &CompanionName) -> impl Iterator<Item = &CompanionStep> {
        let own = self.steps.iter().filter_map(Step::as_companion);
        own.filter(move |step| step.companion == *name)
    }

    /// Returns the steps of `name`, and the shared reload if it requires it.
    pub fn serving(&self, name: &CompanionName) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.serves().any(|served| served == name))
    }

    /// Returns whether there are no steps and no blocking conditions for `name`.
    pub fn is_converged_for(&self, name: &CompanionName) -> bool {
        self.serving(name).next().is_none() && self.blocked(name).next().is_none()
    }
}

/// One step, and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// One action for one companion.
    Companion(CompanionStep),
    /// One load of all units, shared by the companions that need it.
    Load(Load),
}

/// One action for one companion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CompanionStep {
    /// The companion.
    pub companion: CompanionName,
    /// The generation of its intent.
    pub generation: Generation,
    /// The action.
    pub action: Action,
    /// The kind of work; failures are counted per kind.
    pub work: Work,
    /// The reason.
    pub reason: Reason,
    /// A digest of the attempt's inputs: back-off applies only to an attempt with the same inputs.
    pub input: Fingerprint,
    /// Whether it requires that this plan's load succeeded.
    pub after_load: bool,
}

/// Loads the units of the store into the service manager (`systemctl daemon-reload`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Load {
    /// The companions that need it, and the inputs of their attempts.
    pub wanted_by: Vec<(CompanionName, Fingerprint)>,
    /// The reason of one companion of the plan.
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
    /// Resets a service's failed state.
    ResetFailed,
    /// Starts a service if the condition still holds.
    StartUnit(Condition),
    /// Restarts a service if the condition still holds.
    RestartUnit(Condition),
    /// Stops a service.
    StopUnit,
    /// Stops a service that is about to restart, if the condition still holds.
    CancelRestart(Condition),
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
            Self::ResetFailed | Self::StartUnit(_) | Self::RestartUnit(_) => Work::Service,
            Self::StopUnit
            | Self::CancelRestart(_)
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
            Self::ResetFailed => "reset-failed",
            Self::StartUnit(_) => "start",
            Self::RestartUnit(_) => "restart",
            Self::StopUnit | Self::CancelRestart(_) => "stop",
            Self::RemoveConfig(_) => "remove-config",
            Self::RemoveContainer => "remove-container",
            Self::PruneImages(_) => "prune-images",
            Self::SweepConfigs { .. } => "sweep-configs",
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The rendered configuration is missing.
    ConfigMissing,
    /// The configuration would be rendered differently now.
    ConfigChanged,
    /// The rendered file was lost or modified outside companion, and the running process may have used it.
    ConfigRestored,
    /// The configuration is writable by others.
    ConfigWritableByOthers,
    /// The configuration is readable by others.
    ConfigReadableByOthers,
    /// The hook's output does not link to the configuration.
    ConfigUnlinked,
    /// The image is not on the host.
    ImageMissing,
    /// The image is damaged in the image store.
    ImageDamaged,
    /// The image's build context changed.
    ContextChanged,
    /// The companion's image changed.
    ImageChanged,
    /// The unit file is missing.
    UnitFileMissing,
    /// The unit file was modified outside companion.
    UnitFileDrifted,
    /// The same specification is rendered differently than before.
    RendererChanged,
    /// The unit file is writable by others.
    UnitFileWrongMode,
    /// The companion's specification changed.
    SpecChanged,
    /// The loaded unit differs from the unit file.
    LoadedUnitStale,
    /// A tampered unit was restored, and the running process may have been started from it.
    UnitRestored,
    /// The running revision is unknown.
    RevisionUnknown,
    /// The service does not run.
    NotRunning,
    /// The service failed: how.
    Failed(String),
    /// The processes are frozen.
    Frozen,
    /// An unmanaged container has its name.
    NameTaken,
    /// The companion was removed.
    Removed,
    /// It was replaced by newer images or rendered files.
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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigMissing => "configuration is missing",
            Self::ConfigChanged => "configuration changed",
            Self::ConfigRestored => "configuration was lost or modified outside companion",
            Self::ConfigWritableByOthers => "configuration is writable by others",
            Self::ConfigReadableByOthers => "configuration is readable by others",
            Self::ConfigUnlinked => "link to the configuration is missing or points elsewhere",
            Self::ImageMissing => "image is missing",
            Self::ImageDamaged => "image is damaged in the image store",
            Self::ContextChanged => "build context changed",
            Self::ImageChanged => "image changed",
            Self::UnitFileMissing => "unit file is missing",
            Self::UnitFileDrifted => "unit file differs from the rendered unit",
            Self::RendererChanged => {
                "this version of companion or Podman renders the unit differently"
            }
            Self::UnitFileWrongMode => "unit file is writable by others",
            Self::SpecChanged => "specification changed",
            Self::LoadedUnitStale => "loaded unit differs from the unit file",
            Self::UnitRestored => "unit was modified outside companion",
            Self::RevisionUnknown => "running revision unknown",
            Self::NotRunning => "not running",
            Self::Failed(end) => return write!(f, "failed: {end}"),
            Self::Frozen => "frozen",
            Self::NameTaken => "an unmanaged container has its name",
            Self::Removed => "app was removed",
            Self::Superseded => "replaced by newer images or files",
        })
    }
}

impl From<CompanionStep> for Step {
    fn from(step: CompanionStep) -> Self {
        Self::Companion(step)
    }
}

impl Step {
    /// Returns the companion; `None` for the shared load.
    pub fn companion(&self) -> Option<&CompanionName> {
        self.as_companion().map(|step| &step.companion)
    }

    /// Returns the step of one companion; `None` for the shared load.
    pub fn as_companion(&self) -> Option<&CompanionStep> {
        match self {
            Self::Companion(step) => Some(step),
            Self::Load(_) => None,
        }
    }

    /// Returns the action for one companion; `None` for the shared load.
    pub fn action(&self) -> Option<&Action> {
        self.as_companion().map(|step| &step.action)
    }

    /// Returns the verb, for messages and metrics.
    pub fn verb(&self) -> &'static str {
        self.action().map_or("load-units", Action::verb)
    }

    /// Returns the kind of work.
    pub fn work(&self) -> Work {
        self.as_companion().map_or(Work::Load, |step| step.work)
    }

    /// Returns the reason.
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Companion(step) => &step.reason,
            Self::Load(load) => &load.reason,
        }
    }

    /// Returns the generation of its companion's intent; the shared load has none.
    pub fn generation(&self) -> Generation {
        self.as_companion().map_or_else(Generation::default, |step| step.generation)
    }

    /// Returns whether it requires that this plan's load succeeded.
    pub fn after_load(&self) -> bool {
        self.as_companion().is_some_and(|step| step.after_load)
    }

    /// Returns the attempts that it makes: the companions that it serves, and the inputs.
    pub fn attempts(&self) -> impl Iterator<Item = (&CompanionName, Fingerprint)> {
        let own = self.as_companion().map(|step| (&step.companion, step.input));
        let wanted_by = match self {
            Self::Companion(_) => &[],
            Self::Load(load) => load.wanted_by.as_slice(),
        };
        own.into_iter().chain(wanted_by.iter().map(|(name, input)| (name, *input)))
    }

    /// Returns the companions that it serves.
    pub fn serves(&self) -> impl Iterator<Item = &CompanionName> {
        self.attempts().map(|(name, _input)| name)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())?;
        if let Some(companion) = self.companion() {
            write!(f, " {companion}")?;
        }
        write!(f, ": {}", self.reason())
    }
}
