//! Status: for each companion its state, since when, why, what happens next and when.
//!
//! It is computed from a reconcile for people and programs to read, and is never an input of the planner.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::Generation;
use crate::model::hook::Rendering;
use crate::model::observed::{Observation, ObservedCompanion, Work};
use crate::model::revision::Revision;
use crate::model::unit::{ServiceState, UnitFileState};
use crate::plan::{Blocked, Plan, WaitingOn};
use crate::reconciler::Reconcile;

mod failed_run;

use failed_run::{FailedRun, drop_ins};

/// How a companion is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It runs, and everything about it is as wanted.
    Ready,
    /// It is on its way: steps are due or under way.
    Progressing,
    /// It runs, but something about it is not as wanted and cannot be mended now.
    Degraded,
    /// It does not run, and cannot be made to run now.
    Blocked,
    /// It is not wanted, and something of it is still there.
    Removing,
    /// It is ours and on the host, but no record wants it or wants it gone.
    Orphaned,
    /// What it is could not be read.
    Unknown,
}

impl Health {
    /// Whether nobody need look at it.
    pub fn is_healthy(self) -> bool {
        self == Self::Ready
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Progressing => "progressing",
            Self::Degraded => "degraded",
            Self::Blocked => "blocked",
            Self::Removing => "removing",
            Self::Orphaned => "orphaned",
            Self::Unknown => "unknown",
        })
    }
}

/// How one companion is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompanionStatus {
    /// The companion.
    pub name: CompanionName,
    /// In one word.
    pub health: Health,
    /// Seconds since 1970 by the host's clock at which its service entered its present state.
    pub since: Option<u64>,
    /// The generation of the last intent about it; nothing for one that no intent is about.
    pub generation: Option<Generation>,
    /// Why it is not ready, the most important first; empty when it is.
    pub why: Vec<String>,
    /// What of it is not as it should be and cannot be changed now.
    pub conditions: Vec<Condition>,
    /// What is done next, in order; empty when nothing is due.
    pub next: Vec<String>,
    /// The work that is under way.
    pub running: Vec<Work>,
    /// Whether nothing more comes of it by itself within moments: an attempt that is put off is settled.
    pub settled: bool,
    /// The service manager's words for its service, such as `active (running)`.
    pub service: Option<String>,
    /// How often the service manager restarted it by itself since it was last started.
    pub restarts: Option<u32>,
    /// The revision that each layer carries.
    pub revisions: Revisions,
    /// The root cause of a failed run in one sentence, where its log names a known one. `why` begins with it.
    pub root_cause: Option<String>,
    /// The last lines that the failed run logged, oldest first; empty for a service that did not fail.
    pub log: Vec<String>,
    /// Why these lines could not be read.
    pub log_error: Option<String>,
    /// The files with which an operator changes its unit beside the unit file, in the store and as loaded.
    pub drop_ins: Vec<String>,
}

/// Something about a companion that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What it is, in one word for programs, such as `back-off`.
    pub reason: String,
    /// What it is, for people.
    pub message: String,
    /// How often in a row the work failed that is put off.
    pub attempts: Option<u32>,
    /// When the next attempt is due, in seconds since 1970 by the wall clock; the publisher of a status
    /// knows that clock.
    pub next_attempt: Option<u64>,
    /// Since when it is so, in the same way.
    pub since: Option<u64>,
    /// When the next attempt is due, by the clock of the reconciler that made the status.
    #[serde(skip)]
    pub retry_at: Option<Monotonic>,
}

impl Condition {
    fn of(blocked: &Blocked) -> Self {
        let attempts = match &blocked.waiting_on {
            WaitingOn::BackOff { failures, .. } => Some(*failures),
            WaitingOn::Conflict { .. }
            | WaitingOn::Masked
            | WaitingOn::Shadowed { .. }
            | WaitingOn::UnitRefused { .. }
            | WaitingOn::NotLoaded { .. }
            | WaitingOn::HookNotReady { .. }
            | WaitingOn::Running { .. }
            | WaitingOn::Job
            | WaitingOn::Starting
            | WaitingOn::Stopping
            | WaitingOn::Stabilizing
            | WaitingOn::CrashLoop { .. }
            | WaitingOn::Observation { .. }
            | WaitingOn::Orphan => None,
        };
        Self {
            reason: blocked.waiting_on.reason().to_owned(),
            message: blocked.waiting_on.to_string(),
            attempts,
            next_attempt: None,
            since: None,
            retry_at: blocked.retry_at,
        }
    }
}

/// The revision that each layer of a companion carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Revisions {
    /// The unit file.
    pub unit_file: Option<Revision>,
    /// The unit that the service manager loaded.
    pub loaded: Option<Revision>,
    /// The process that runs.
    pub running: Option<Revision>,
}

/// The status of every companion that is desired, being removed, or ours on the host.
pub fn status(reconcile: &Reconcile) -> Vec<CompanionStatus> {
    let gone = |name: &CompanionName| {
        reconcile.desired.removed.contains_key(name) && reconcile.plan.is_converged_for(name)
    };
    let companions = reconcile.observed.companions.iter();
    companions
        .filter(|(name, _)| !gone(name))
        .map(|(name, seen)| of(name, seen, reconcile))
        .collect()
}

fn of(name: &CompanionName, seen: &ObservedCompanion, reconcile: &Reconcile) -> CompanionStatus {
    let plan = &reconcile.plan;
    let service = seen.service.known();
    let conditions: Vec<_> = plan.blocked(name).map(Condition::of).collect();
    let next: Vec<_> = plan.serving(name).map(ToString::to_string).collect();
    let under_way = reconcile.observed.history.running.get(name);
    let FailedRun { root_cause, log, log_error } = FailedRun::of(seen);
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
        service: service.map(|service| format!("{} ({})", service.active, service.sub)),
        restarts: service.map(|service| service.restarts),
        revisions: Revisions {
            unit_file: seen.unit.known().and_then(|file| match &file.state {
                UnitFileState::Current { revision }
                | UnitFileState::WrongMode { revision }
                | UnitFileState::Outdated { revision } => Some(*revision),
                UnitFileState::Drifted { revision } => *revision,
                UnitFileState::Absent | UnitFileState::Unmanaged { .. } => None,
            }),
            loaded: service.and_then(|service| service.loaded),
            running: service.and_then(|service| service.running),
        },
        root_cause,
        log,
        log_error,
        drop_ins: drop_ins(seen),
    }
}

fn health(name: &CompanionName, seen: &ObservedCompanion, reconcile: &Reconcile) -> Health {
    if reconcile.desired.generation(name).is_none() {
        return Health::Orphaned;
    }
    if reconcile.desired.removed.contains_key(name) {
        return Health::Removing;
    }
    let Some(service) = seen.service.known() else {
        return Health::Unknown;
    };
    if runs_true(service, seen) && is_quiet(&reconcile.plan, name) {
        return Health::Ready;
    }
    if !reconcile.is_settled_for(name) {
        return Health::Progressing;
    }
    if service.is_running() { Health::Degraded } else { Health::Blocked }
}

/// Whether the plan has nothing about `name` but notes that change nothing for its users.
fn is_quiet(plan: &Plan, name: &CompanionName) -> bool {
    let tidying_only = plan.serving(name).all(|step| step.work == Work::Prune);
    tidying_only && plan.blocked(name).next().is_none()
}

fn runs_true(service: &ServiceState, seen: &ObservedCompanion) -> bool {
    let wanted = match seen.unit.known().map(|file| &file.state) {
        Some(UnitFileState::Current { revision }) => *revision,
        _ => return false,
    };
    let config = match &seen.hook {
        None => true,
        Some(Observation::Known(state)) => {
            matches!(state.rendering, Rendering::Known(_))
                && state.usable(wanted.config.as_slice()).ok() == wanted.config
        }
        Some(Observation::Unknown(_)) => false,
    };
    config && service.is_running() && service.running == Some(wanted) && !service.paused
}
