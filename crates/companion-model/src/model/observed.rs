//! The observed state of one reconcile, and the history of earlier reconciles.
//!
//! Unknown is not absent: a failed read is [`Observation::Unknown`] and never causes a stop or a removal.

use std::collections::BTreeMap;

use super::Monotonic;
use super::companion::CompanionName;
use super::desired::Generation;
use super::error::Problem;
use super::hook::HookState;
use super::host::HostTraits;
use super::image::ImageState;
use super::log::LogTail;
use super::revision::{Fingerprint, Revision};
use super::service::ServiceState;
use super::unit::{ContainerState, UnitFile};

/// The result of a read: a value, or an error message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use = "unknown must not be treated as absent"]
pub enum Observation<T> {
    /// The value.
    Known(T),
    /// The read failed.
    Unknown(String),
}

impl<T> Observation<T> {
    /// Returns the value, if known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// The observed state of one companion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedCompanion {
    /// The state of its hook; `None` for a companion without a hook.
    pub hook: Option<Observation<HookState>>,
    /// The state of its image; `None` for a companion that is pending deletion.
    pub image: Option<Observation<ImageState>>,
    /// The unit file at its name.
    pub unit: Observation<UnitFile>,
    /// The service at its name.
    pub service: Observation<ServiceState>,
    /// The container at its name; read only when the service is down or between restarts, because a running
    /// service owns its container.
    pub container: Option<Observation<ContainerState>>,
    /// The last log lines of its last run; read only when that run failed. No decision depends on it.
    pub log: Option<Observation<LogTail>>,
}

impl ObservedCompanion {
    /// Returns the revisions of the unit file, the loaded unit and the process, as far as known.
    pub fn claims(&self) -> Vec<Revision> {
        let file = self.unit.known().and_then(|file| file.state.revision());
        let service = self.service.known();
        let service =
            service.map_or([None, None], |service| [service.unit.revision(), service.running]);
        file.into_iter().chain(service.into_iter().flatten()).collect()
    }
}

/// The kind of work; each has its own back-off.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Rendering the configuration.
    Hook,
    /// Building or pulling the image.
    Image,
    /// Writing the unit file.
    Unit,
    /// Loading it by the service manager.
    Load,
    /// Starting, restarting or stopping the service.
    Service,
    /// Removing a companion that is pending deletion.
    Removal,
    /// Removing replaced images and rendered files.
    Prune,
}

impl Work {
    /// Returns what it does, and the error of an attempt that reported success without the expected result.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Hook => (
                "rendering the configuration",
                "the rendered file was not committed or changed again",
            ),
            Self::Image => {
                ("building or pulling the image", "the image is still missing or outdated")
            }
            Self::Unit => ("writing the unit", "the unit file changed after it was written"),
            Self::Load => ("loading the unit", "the unit was not loaded by the reload"),
            Self::Service => ("starting the service", "the service did not stay up"),
            Self::Removal => ("stopping or removing the companion", "removed objects still exist"),
            Self::Prune => {
                ("removing replaced images and files", "replaced images or files still exist")
            }
        }
    }
}

/// The purpose of running work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The generation of its intent.
    pub generation: Generation,
    /// A digest of its inputs.
    pub input: Fingerprint,
}

/// A failure without a later success.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure {
    /// A digest of the attempt's inputs; a different one resets the failure.
    pub input: Fingerprint,
    /// The number of consecutive failures.
    pub count: u32,
    /// The earliest time of the next attempt.
    pub retry_at: Monotonic,
    /// Why the last attempt failed.
    pub problem: Problem,
}

/// What earlier reconciles observed of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KnownRun {
    /// Its [run id](ServiceState::run_id).
    pub run_id: String,
    /// When it was first observed up; `None` once the host reports that it is old enough.
    pub up_since: Option<Monotonic>,
    /// The revision that unit file, loaded unit and process had together, if they had.
    pub verified: Option<Revision>,
}

/// Knowledge of earlier reconciles that cannot be read from the host.
///
/// It is kept in memory only: after a restart the manager retries once without back-off and learns it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct History {
    /// Failures in back-off.
    pub failures: BTreeMap<CompanionName, BTreeMap<Work, Failure>>,
    /// Running work of earlier reconciles.
    pub running: BTreeMap<CompanionName, BTreeMap<Work, Attempt>>,
    /// The last observed runs.
    pub runs: BTreeMap<CompanionName, KnownRun>,
    /// Completed removals: their containers are not read again.
    pub removed: BTreeMap<CompanionName, Generation>,
}

/// The observed state of one reconcile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedState {
    /// Every companion that is desired, pending deletion, or managed on the host.
    pub companions: BTreeMap<CompanionName, ObservedCompanion>,
    /// The optional abilities of the host.
    pub traits: HostTraits,
    /// The error if the list of managed units is incomplete.
    pub listing_error: Option<String>,
    /// The history of earlier reconciles.
    pub history: History,
}
