//! The decision: what is done, in which order and why; and what is not done, and what it waits on.
//!
//! A plan is plain data. Printing it is a dry run, executing it needs no further choice.

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
use crate::model::unit::{ServiceState, UnitSpec};

mod blocked;

pub use blocked::{Blocked, WaitingOn};

/// What one reconcile decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a plan that is dropped was decided for nothing"]
pub struct Plan {
    /// The effects, in the order they are begun.
    pub steps: Vec<Step>,
    /// What is not done although something is not as it should be.
    pub blocked: Vec<Blocked>,
    /// Work whose earlier failures the observed state shows to be overcome.
    pub recovered: Vec<(CompanionName, Work)>,
    /// Work under way whose input was corrected since it began: it is dropped, and begun again once it
    /// has ended.
    pub superseded: Vec<(CompanionName, Work)>,
    /// The time after which another reconcile may find more to do, even if nothing happens.
    pub requeue_after: Option<Duration>,
}

impl Plan {
    /// Whether there is nothing to do and nothing to wait for.
    pub fn is_converged(&self) -> bool {
        self.steps.is_empty() && self.blocked.is_empty()
    }

    /// What `name` waits on, the first finding first.
    pub fn blocked(&self, name: &CompanionName) -> impl Iterator<Item = &Blocked> {
        self.blocked.iter().filter(move |blocked| blocked.companion == *name)
    }

    /// The same plan for `names` alone: what concerns only others is left to another reconcile.
    ///
    /// A reload loads what others have on disk too, but is no attempt of theirs: their files may not
    /// be written yet.
    pub fn restrict_to(mut self, names: &BTreeSet<CompanionName>) -> Self {
        self.steps.retain(|step| step.serves().any(|name| names.contains(name)));
        for step in &mut self.steps {
            if let Action::DaemonReload { wanted_by } = &mut step.action {
                wanted_by.retain(|(name, _input)| names.contains(name));
            }
        }
        self.blocked.retain(|blocked| names.contains(&blocked.companion));
        self
    }

    /// The steps of `name` alone; a reload, which serves all that want it, is not among them.
    pub fn steps(&self, name: &CompanionName) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.companion.as_ref() == Some(name))
    }

    /// The steps that `name` gains by: its own, and the reload if it wants it.
    pub fn serving(&self, name: &CompanionName) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.serves().any(|served| served == name))
    }

    /// Whether there is nothing to do and nothing to wait for about `name`.
    pub fn is_converged_for(&self, name: &CompanionName) -> bool {
        self.serving(name).next().is_none() && self.blocked(name).next().is_none()
    }
}

/// One effect and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// The companion it is for; `None` for the reload, which serves all.
    pub companion: Option<CompanionName>,
    /// The generation of the wish that it carries out.
    pub generation: Generation,
    /// The effect.
    pub action: Action,
    /// The kind of work it is, under which its failures are counted.
    pub work: Work,
    /// Why.
    pub reason: Reason,
    /// A digest of what goes into the attempt: a failure holds back only the same attempt.
    pub input: Fingerprint,
    /// Whether it must not be done unless this plan's reload succeeded.
    pub after_reload: bool,
}

/// One effect, named after the verb of the tool that has it. Each is one call of a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Renders a companion's configuration.
    RunHook {
        /// The hook.
        hook: HookSpec,
        /// The rendered files that the unit, or a process, names.
        claimed: Vec<ConfigId>,
    },
    /// Builds or pulls an image.
    EnsureImage(ImageSource),
    /// Writes a unit file.
    WriteUnit(Box<UnitSpec>),
    /// Removes a unit file.
    RemoveUnit,
    /// Has the service manager read all units again.
    DaemonReload {
        /// The companions that need it, and their inputs.
        wanted_by: Vec<(CompanionName, Fingerprint)>,
    },
    /// Forgets a service's failure.
    ResetFailed,
    /// Starts a service, if the condition still holds.
    StartUnit(Condition),
    /// Restarts a service, if the condition still holds.
    RestartUnit(Condition),
    /// Stops a service.
    StopUnit,
    /// Removes a rendered configuration.
    RemoveConfig(HookSpec),
    /// Removes a container that its unit left behind.
    RemoveContainer,
    /// Removes images of ours that newer ones replaced.
    PruneImages(Vec<ImageId>),
    /// Removes rendered files that newer ones replaced.
    SweepConfigs {
        /// The hook that rendered them.
        hook: HookSpec,
        /// The file that stays.
        keep: ConfigId,
    },
}

impl Action {
    /// The kind of work it is, unless it is part of another.
    pub fn work(&self) -> Work {
        match self {
            Self::RunHook { .. } => Work::Hook,
            Self::EnsureImage(_) => Work::Image,
            Self::PruneImages(_) | Self::SweepConfigs { .. } => Work::Prune,
            Self::WriteUnit(_) => Work::Unit,
            Self::DaemonReload { .. } => Work::Load,
            Self::ResetFailed | Self::StartUnit(_) | Self::RestartUnit(_) => Work::Service,
            Self::StopUnit | Self::RemoveUnit | Self::RemoveConfig(_) | Self::RemoveContainer => {
                Work::Removal
            }
        }
    }

    /// The verb, for people and for counting.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::RunHook { .. } => "run-hook",
            Self::EnsureImage(_) => "ensure-image",
            Self::WriteUnit(_) => "write-unit",
            Self::RemoveUnit => "remove-unit",
            Self::DaemonReload { .. } => "daemon-reload",
            Self::ResetFailed => "reset-failed",
            Self::StartUnit(_) => "start",
            Self::RestartUnit(_) => "restart",
            Self::StopUnit => "stop",
            Self::RemoveConfig(_) => "remove-config",
            Self::RemoveContainer => "remove-container",
            Self::PruneImages(_) => "prune-images",
            Self::SweepConfigs { .. } => "sweep-configs",
        }
    }
}

/// What must hold at the moment a service is started or restarted.
///
/// It is read again right before the effect, because the reconcile that decided may be older than what
/// the host's own user did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The revision that the loaded unit must name: nothing else is ever started.
    pub loaded: Revision,
    /// What makes the effect needed.
    pub need: Need,
}

/// What makes a start or restart needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// It does not run.
    NotRunning,
    /// It runs another revision, or waits to start one again.
    OtherRevision,
    /// Its processes are frozen.
    Paused,
}

impl Condition {
    /// Whether the effect is still right, given the service as it is now.
    pub fn holds(&self, service: &ServiceState) -> bool {
        let needed = match self.need {
            Need::NotRunning => service.is_down(),
            Need::OtherRevision => service.running != Some(self.loaded),
            Need::Paused => service.paused,
        };
        needed && service.loaded == Some(self.loaded)
    }
}

/// Why a step is taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// There is no rendered configuration.
    ConfigMissing,
    /// The configuration would be rendered differently now.
    ConfigChanged,
    /// The rendered file was lost or modified outside companion, and what runs may come from it.
    ConfigRestored,
    /// The configuration could be written by others.
    ConfigWritableByOthers,
    /// The configuration could be read by others.
    ConfigReadableByOthers,
    /// The hook's output does not link to the configuration.
    ConfigUnlinked,
    /// The image is not on the host.
    ImageMissing,
    /// The image's build context changed.
    ContextChanged,
    /// The image by the companion's name is another one.
    ImageChanged,
    /// There is no unit file.
    UnitFileMissing,
    /// The unit file was changed by someone else.
    UnitFileDrifted,
    /// The same specification is rendered in other words than before.
    RendererChanged,
    /// The unit file could be written by others.
    UnitFileWrongMode,
    /// The companion's specification changed.
    SpecChanged,
    /// The loaded unit is not what the file says.
    LoadedUnitStale,
    /// A tampered unit was restored, and what runs may come from it.
    UnitRestored,
    /// It is not known which revision runs.
    RevisionUnknown,
    /// The service does not run.
    NotRunning,
    /// The service failed.
    Failed(String),
    /// The processes are frozen.
    Paused,
    /// The companion is not wanted any more.
    Removed,
    /// Newer images or rendered files replaced it.
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
            Self::Failed(result) => return write!(f, "failed ({result})"),
            Self::Paused => "paused",
            Self::Removed => "app was removed",
            Self::Superseded => "replaced by newer ones",
        })
    }
}

impl Step {
    /// The companions that it is for: one, or for a reload all that want it.
    pub fn serves(&self) -> impl Iterator<Item = &CompanionName> {
        let wanted_by = match &self.action {
            Action::DaemonReload { wanted_by } => wanted_by.as_slice(),
            _ => &[],
        };
        self.companion.iter().chain(wanted_by.iter().map(|(name, _input)| name))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.verb())?;
        if let Some(companion) = &self.companion {
            write!(f, " {companion}")?;
        }
        write!(f, ": {}", self.reason)
    }
}
