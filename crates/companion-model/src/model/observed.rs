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

/// A run that was observed with a matching unit file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifiedRun {
    /// The revision of unit file, loaded unit and process.
    pub revision: Revision,
    /// Its [run id](ServiceState::run_id).
    pub run_id: String,
}

/// When a run was first observed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FirstSeen {
    /// Its [run id](ServiceState::run_id).
    pub run_id: String,
    /// The time of that observation.
    pub at: Monotonic,
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
    /// The runs observed with the same revision in unit file, loaded unit and process.
    pub verified: BTreeMap<CompanionName, VerifiedRun>,
    /// When each young run was first observed up.
    pub up_since: BTreeMap<CompanionName, FirstSeen>,
    /// Completed removals: their containers are not read again.
    pub gone: BTreeMap<CompanionName, Generation>,
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
