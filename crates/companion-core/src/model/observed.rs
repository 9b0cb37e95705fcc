//! The observed state: what one reconcile saw, and what earlier reconciles learned.
//!
//! Not observed is not absent: a failed read is [`Observation::Unknown`], and nothing is stopped or
//! removed because of it.

use std::collections::BTreeMap;

use super::Monotonic;
use super::companion::CompanionName;
use super::desired::Generation;
use super::hook::HookState;
use super::image::ImageState;
use super::log::LogTail;
use super::revision::{Fingerprint, Revision};
use super::unit::{ContainerState, ServiceState, UnitFile};
use crate::ports::PortErrorKind;

/// What a read gave: a value, or the reason why nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use = "an unknown value must not be taken for an absent one"]
pub enum Observation<T> {
    /// It was read.
    Known(T),
    /// It could not be read.
    Unknown(String),
}

impl<T> Observation<T> {
    /// The value, if it was read.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// What one reconcile saw of one companion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedCompanion {
    /// What its hook would do; `None` for a companion without one.
    pub hook: Option<Observation<HookState>>,
    /// What the host has of its image; `None` for a companion that is to be gone.
    pub image: Option<Observation<ImageState>>,
    /// What lies at its name in the unit store.
    pub unit: Observation<UnitFile>,
    /// What the service manager has at its name.
    pub service: Observation<ServiceState>,
    /// The container at its name; asked for only when the service does not run, because a running
    /// service already says which container is its own.
    pub container: Option<Observation<ContainerState>>,
    /// What its last run logged; asked for only when that run failed. For people: no decision depends on it.
    pub log: Option<Observation<LogTail>>,
}

impl ObservedCompanion {
    /// The revisions that its unit file, the loaded unit and its process name, as far as they were read.
    pub fn claims(&self) -> Vec<Revision> {
        let file = self.unit.known().and_then(|file| file.state.revision());
        let service = self.service.known();
        let service = service.map_or([None, None], |service| [service.loaded, service.running]);
        file.into_iter().chain(service.into_iter().flatten()).collect()
    }
}

/// The kind of work that can fail and is then put off.
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
    /// Having the service manager load it.
    Load,
    /// Starting, restarting or stopping the service.
    Service,
    /// Removing what is not wanted any more.
    Removal,
    /// Removing what newer images and rendered files replaced.
    Prune,
}

/// What work under way was begun for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The generation of the intent that it carries out.
    pub generation: Generation,
    /// A digest of what went into it.
    pub input: Fingerprint,
}

/// A failure that has not been followed by a success.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure {
    /// A digest of what went into the attempt; with another one, the failure is forgotten.
    pub input: Fingerprint,
    /// How often in a row.
    pub count: u32,
    /// Before then it is not tried again.
    pub retry_at: Monotonic,
    /// What the caller can do about it.
    pub kind: PortErrorKind,
    /// What went wrong, for people.
    pub error: String,
}

/// A run that was seen beneath a true unit file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifiedRun {
    /// The revision that all layers carried.
    pub revision: Revision,
    /// Which run it was.
    pub invocation: String,
}

/// What earlier reconciles learned and the host cannot be asked.
///
/// It is kept in memory only: a manager that was started anew tries once early, and learns it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct History {
    /// The failures that hold work back.
    pub failures: BTreeMap<CompanionName, BTreeMap<Work, Failure>>,
    /// The work that an earlier reconcile began and that has not ended.
    pub running: BTreeMap<CompanionName, BTreeMap<Work, Attempt>>,
    /// The runs that were seen to be true in every layer: unit file, loaded unit and process.
    pub verified: BTreeMap<CompanionName, VerifiedRun>,
    /// The removals of which nothing was found to be left: their containers are not asked for again.
    pub gone: BTreeMap<CompanionName, Generation>,
}

/// What one reconcile saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedState {
    /// Every companion that is desired, removed, or ours on the host.
    pub companions: BTreeMap<CompanionName, ObservedCompanion>,
    /// Why the list of our units on the host is not complete, if it is not.
    pub listing_error: Option<String>,
    /// What earlier reconciles learned.
    pub history: History,
}
