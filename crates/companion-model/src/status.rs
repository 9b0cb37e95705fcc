//! Status: the state of each companion, since when, why, and the next steps.
//!
//! It is derived from a reconcile for people and programs, and is never an input of the planner.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::Generation;
use crate::model::log::LogTail;
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::model::revision::Revision;
use crate::model::service::ServiceState;
use crate::plan::{Blocked, Plan, WaitingOn};
use crate::reconcile::Reconcile;
use crate::root_cause::RootCause;

/// The health of a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It runs and matches the desired state.
    Ready,
    /// Steps are due or running.
    Progressing,
    /// It runs, but differs from the desired state and cannot be repaired now.
    Degraded,
    /// It does not run and cannot be started now.
    Blocked,
    /// It is pending deletion.
    Removing,
    /// It is managed but not in the desired state.
    Orphaned,
    /// Its state could not be read.
    Unknown,
}

impl Health {
    /// Returns whether it needs no attention.
    pub fn is_healthy(self) -> bool {
        self == Self::Ready
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The status of one companion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompanionStatus {
    /// The companion.
    pub name: CompanionName,
    /// Its health.
    pub health: Health,
    /// When its service entered its current state, as Unix time.
    pub since: Option<u64>,
    /// The generation of its last intent; `None` without one.
    pub generation: Option<Generation>,
    /// Why it is not ready, most important first; empty if it is ready.
    pub why: Vec<String>,
    /// Its blocking conditions.
    pub conditions: Vec<Condition>,
    /// The pending steps in order; empty if none are due.
    pub next: Vec<String>,
    /// Running work.
    pub running: Vec<Work>,
    /// Whether its state is stable until the next resync or event; work in back-off counts as settled.
    pub settled: bool,
    /// The host's name of its service state, such as `active (running)`.
    pub service: Option<String>,
    /// The number of automatic restarts since the last start.
    pub restarts: Option<u32>,
    /// The revisions of unit file, loaded unit and process.
    pub revisions: Revisions,
    /// The root cause of a failed run in one sentence, if its log contains a known one. `why` starts with it.
    pub root_cause: Option<String>,
    /// The last log lines of the failed run, oldest first; empty for a service that did not fail.
    pub log: Vec<String>,
    /// The error if the log could not be read.
    pub log_error: Option<String>,
    /// The drop-ins of its unit, in the store and as loaded.
    pub drop_ins: Vec<String>,
    /// The settings that this host does not honour, by their names in the catalog.
    #[serde(default)]
    pub not_honoured: Vec<String>,
}

/// A blocking condition of a companion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The reason as one word for programs, such as `back-off`.
    pub reason: String,
    /// The message for people.
    pub message: String,
    /// The number of consecutive failures of work in back-off.
    pub attempts: Option<u32>,
    /// When the next attempt is due, as Unix time; set by the publisher of the status.
    pub next_attempt: Option<u64>,
    /// When it started, as Unix time; set by the publisher of the status.
    pub since: Option<u64>,
    /// When the next attempt is due, on the reconciler's clock.
    #[serde(skip)]
    pub retry_at: Option<Monotonic>,
}

impl Condition {
    fn of(blocked: &Blocked) -> Self {
        let attempts = match blocked.waiting_on {
            WaitingOn::BackOff { failures, .. } => Some(failures),
            _ => None,
        };
        Self {
            reason: blocked.waiting_on.reason(),
            message: blocked.waiting_on.to_string(),
            attempts,
            next_attempt: None,
            since: None,
            retry_at: blocked.retry_at,
        }
    }
}

/// The revisions of a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Revisions {
    /// The unit file.
    pub unit_file: Option<Revision>,
    /// The unit that the service manager loaded.
    pub loaded: Option<Revision>,
    /// The running process.
    pub running: Option<Revision>,
}

/// Returns the status of every companion that is desired, pending deletion, or managed on the host.
pub fn status(reconcile: &Reconcile) -> Vec<CompanionStatus> {
    let removed = |name: &CompanionName| {
        reconcile.desired.removal(name).is_some() && reconcile.plan.is_converged_for(name)
    };
    let companions = reconcile.observed.companions.iter();
    companions
        .filter(|(name, _)| !removed(name))
        .map(|(name, seen)| of(name, seen, reconcile))
        .collect()
}

fn of(name: &CompanionName, seen: &ObservedCompanion, reconcile: &Reconcile) -> CompanionStatus {
    let plan = &reconcile.plan;
    let service = seen.service.known();
    let conditions: Vec<_> = plan.blocked(name).map(Condition::of).collect();
    let next: Vec<_> = plan.serving(name).map(ToString::to_string).collect();
    let under_way = reconcile.observed.history.running.get(name);
    let companion = reconcile.desired.companion(name);
    let traits = reconcile.observed.traits;
    let not_honoured = companion.map(|it| traits.not_honoured(it.spec())).unwrap_or_default();
    let (log, log_error) = match &seen.log {
        Some(Observation::Known(log)) => (log.clone(), None),
        Some(Observation::Unknown(error)) => (LogTail::default(), Some(error.clone())),
        None => (LogTail::default(), None),
    };
    let root_cause = RootCause::of(&log).map(|cause| cause.to_string());
    let waits = conditions.iter().map(|condition| &condition.message);
    let why = root_cause.iter().chain(waits).chain(&next).cloned().collect();
    CompanionStatus {
        name: name.clone(),
        health: health(name, seen, reconcile),
        since: service.and_then(|service| service.since),
        generation: reconcile.desired.generation(name),
        why,
        conditions,
        next,
        running: under_way.map(|running| running.keys().copied().collect()).unwrap_or_default(),
        settled: reconcile.is_settled_for(name),
        service: service.map(|service| service.message.clone()),
        restarts: service.map(|service| service.restarts),
        revisions: Revisions {
            unit_file: seen.unit.known().and_then(|file| file.state.revision()),
            loaded: service.and_then(ServiceState::loaded),
            running: service.and_then(|service| service.running),
        },
        root_cause,
        log: log.lines().to_vec(),
        log_error,
        drop_ins: drop_ins(seen),
        not_honoured: not_honoured.into_iter().map(str::to_owned).collect(),
    }
}

/// Returns the drop-ins of the unit file and the loaded unit without duplicates.
fn drop_ins(seen: &ObservedCompanion) -> Vec<String> {
    let of_file = seen.unit.known().into_iter().flat_map(|file| &file.drop_ins);
    let of_service = seen.service.known().into_iter().flat_map(|service| &service.drop_ins);
    let paths: BTreeSet<&String> = of_file.chain(of_service).collect();
    paths.into_iter().cloned().collect()
}

fn health(name: &CompanionName, seen: &ObservedCompanion, reconcile: &Reconcile) -> Health {
    if reconcile.desired.generation(name).is_none() {
        return Health::Orphaned;
    }
    if reconcile.desired.removal(name).is_some() {
        return Health::Removing;
    }
    let Some(service) = seen.service.known() else {
        return Health::Unknown;
    };
    if is_quiet(&reconcile.plan, name) {
        return Health::Ready;
    }
    if !reconcile.is_settled_for(name) {
        return Health::Progressing;
    }
    if service.is_up() { Health::Degraded } else { Health::Blocked }
}

/// Returns whether the plan contains only cleanup for `name`: it runs as desired, because every difference has a step or a
/// condition.
fn is_quiet(plan: &Plan, name: &CompanionName) -> bool {
    let tidying_only = plan.serving(name).all(|step| step.work == Work::Prune);
    tidying_only && plan.blocked(name).next().is_none()
}
