//! Services: the distinctions that decisions depend on, independent of any service manager.
//!
//! An adapter translates its host's states into these; the host's own words are for people, in
//! [`ServiceState::message`] and the messages of [`LoadedUnit`] and [`End`].

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::revision::Revision;

/// The state of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceState {
    /// The unit that the service manager would start.
    pub unit: LoadedUnit,
    /// What the service is doing.
    pub run: RunState,
    /// Whether a start or stop is queued or running, whoever requested it.
    pub busy: bool,
    /// The revision that the main process was started from, while there is one that reports it.
    pub running: Option<Revision>,
    /// Identifies the current run: changes with each start, and is always there while it is up. While nothing runs
    /// it is that of the last run, or `None`.
    pub run_id: Option<String>,
    /// Whether the processes are frozen (`podman pause`).
    pub frozen: bool,
    /// The time since it is [up](RunState::Up), as far as the host knows: zero if its clock was set back.
    pub up_for: Duration,
    /// The number of automatic restarts since the last start.
    pub restarts: u32,
    /// How the last run or start ended. `None` before the first one and until the current run ends.
    pub last_end: Option<End>,
    /// When it entered its current state, as Unix time.
    pub since: Option<u64>,
    /// The host's name of its state, such as `active (running)`.
    pub message: String,
    /// The paths of the drop-ins of the loaded unit.
    pub drop_ins: Vec<String>,
}

impl ServiceState {
    /// Returns the state of a service without a unit and without a process.
    pub fn absent() -> Self {
        Self { message: "no unit".to_owned(), ..Self::default() }
    }

    /// Returns the revision that a start would use.
    pub fn loaded(&self) -> Option<Revision> {
        match self.unit {
            LoadedUnit::FromStore { revision } => revision,
            _ => None,
        }
    }

    /// Returns whether the main process runs.
    pub fn is_up(&self) -> bool {
        self.run == RunState::Up
    }

    /// Returns whether nothing runs and nothing is about to start.
    pub fn is_down(&self) -> bool {
        matches!(self.run, RunState::Down | RunState::Failed) && !self.busy
    }

    /// Returns whether a process is starting, or may be about to.
    pub fn is_starting(&self) -> bool {
        self.busy || self.run == RunState::Starting
    }

    /// Returns whether its last run failed, or ended and is about to be restarted: then its log contains the
    /// cause.
    pub fn has_failed(&self) -> bool {
        let ended_badly = self.last_end.as_ref().is_some_and(|end| *end != End::Success);
        matches!(self.run, RunState::Failed | RunState::BetweenRestarts)
            || (self.is_down() && ended_badly)
    }
}

/// The unit that a start would use.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum LoadedUnit {
    /// None.
    #[default]
    Absent,
    /// The unit at the companion's location in the unit store.
    FromStore {
        /// Its revision; `None` for an unmanaged unit and for one of a release without revisions.
        revision: Option<Revision>,
    },
    /// A unit of the same name from another location.
    Elsewhere {
        /// That location, for people.
        place: String,
    },
    /// The operator holds it back (`systemctl mask`): it is not started until the operator releases it.
    Held {
        /// The host's message.
        message: String,
    },
    /// The unit at the companion's location in the unit store, which the host cannot use.
    Unusable {
        /// The host's message.
        message: String,
        /// Its revision, if readable.
        revision: Option<Revision>,
    },
}

impl LoadedUnit {
    /// Returns the revision that the unit names, whether it can be started or not.
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::FromStore { revision } | Self::Unusable { revision, .. } => *revision,
            Self::Absent | Self::Elsewhere { .. } | Self::Held { .. } => None,
        }
    }
}

impl fmt::Display for LoadedUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("the host reports no unit of this name"),
            Self::FromStore { revision: Some(revision) } => {
                write!(f, "revision {revision} is loaded")
            }
            Self::FromStore { revision: None } => f.write_str("a unit without revision is loaded"),
            Self::Elsewhere { place } => write!(f, "{place} is loaded"),
            Self::Held { message } | Self::Unusable { message, .. } => f.write_str(message),
        }
    }
}

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Nothing runs.
    #[default]
    Down,
    /// Nothing runs, and the service manager keeps the failure until a reset or the next start.
    Failed,
    /// It is starting.
    Starting,
    /// It runs.
    Up,
    /// It ended, and the service manager is about to restart it.
    BetweenRestarts,
    /// It is stopping.
    Stopping,
    /// A state unknown to the adapter.
    Other,
}

/// How a run or a start ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// As intended: it exited with success, or was stopped.
    #[error("exited")]
    Success,
    /// It exited with this code, which is not zero.
    #[error("exited with status {0}")]
    Exit(i32),
    /// This signal killed it.
    #[error("killed by signal {0}")]
    Signal(i32),
    /// It ran out of memory.
    #[error("out of memory")]
    OutOfMemory,
    /// A start or stop exceeded its time limit.
    #[error("timed out")]
    TimedOut,
    /// The service manager refuses further starts until a reset: there were too many.
    #[error("started too often")]
    StartLimit,
    /// Any other way, in the host's words.
    #[error("{0}")]
    Other(String),
}

/// A request to a service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Start it; for a running service there is nothing to do.
    Start,
    /// Stop it gracefully. If nothing runs there is nothing to do, and a failed service stays failed.
    Stop,
    /// Stop it if it runs, then start it.
    Restart,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_with_a_pending_request_or_restart_is_not_down() {
        let mut state = ServiceState::absent();
        assert!(state.is_down());
        state.busy = true;
        assert!(!state.is_down());
        state = ServiceState { run: RunState::BetweenRestarts, ..ServiceState::absent() };
        assert!(!state.is_down());
    }

    #[test]
    fn stop_that_ended_well_is_no_failure() {
        let mut state = ServiceState { last_end: Some(End::Success), ..ServiceState::absent() };
        assert!(!state.has_failed());
        state.last_end = Some(End::Exit(3));
        assert!(state.has_failed());
        state.busy = true;
        assert!(!state.has_failed(), "it may be starting");
    }
}
