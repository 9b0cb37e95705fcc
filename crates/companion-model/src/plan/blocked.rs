//! Blocked work and the conditions it waits on.

use std::fmt;

use serde::Serialize;

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::observed::Work;
use crate::model::service::End;

/// A difference from the desired state that this reconcile does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The companion.
    pub companion: CompanionName,
    /// What it waits on.
    pub waiting_on: WaitingOn,
    /// The latest time of the next attempt, apart from the resync.
    pub retry_at: Option<Monotonic>,
}

/// What a companion waits on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "on")]
pub enum WaitingOn {
    /// An unmanaged object has its name.
    Conflict {
        /// What and where.
        what: String,
    },
    /// The operator holds its unit back.
    Held {
        /// The host's message.
        message: String,
    },
    /// Another unit of the same name takes precedence.
    Shadowed {
        /// Where that unit comes from.
        by: String,
    },
    /// The generator rejects its unit.
    UnitRefused {
        /// The generator's message.
        message: String,
    },
    /// The service manager does not load its unit although the file is correct.
    NotLoaded {
        /// The service manager's message.
        message: String,
    },
    /// Its hook cannot render yet.
    HookNotReady {
        /// What the hook waits for.
        waiting_for: String,
    },
    /// An attempt failed and is in back-off.
    BackOff {
        /// What failed.
        work: Work,
        /// How often in a row.
        failures: u32,
        /// The last error.
        error: String,
    },
    /// Work of an earlier reconcile is running.
    Running {
        /// Which.
        work: Work,
    },
    /// Another start or stop of the service.
    Busy,
    /// The service is starting.
    Starting,
    /// The service is stopping.
    Stopping,
    /// It was started and must stay up before it counts as running.
    Stabilizing,
    /// It exited, and the service manager is about to restart it.
    CrashLoop {
        /// The number of restarts.
        restarts: u32,
        /// How the last run ended, if known.
        end: Option<End>,
    },
    /// A part of the host cannot be read.
    Observation {
        /// Which part.
        what: &'static str,
        /// The error.
        error: String,
    },
    /// The companion is managed but not in the desired state.
    Orphan,
}

impl WaitingOn {
    /// Returns the reason as one word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Held { .. } => "held",
            Self::Shadowed { .. } => "shadowed",
            Self::UnitRefused { .. } => "unit-refused",
            Self::NotLoaded { .. } => "not-loaded",
            Self::HookNotReady { .. } => "hook-not-ready",
            Self::BackOff { .. } => "back-off",
            Self::Running { .. } => "running",
            Self::Busy => "busy",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stabilizing => "stabilizing",
            Self::CrashLoop { .. } => "crash-loop",
            Self::Observation { .. } => "observation",
            Self::Orphan => "orphan",
        }
    }

    /// Returns whether it resolves without action soon, so that converging waits for it.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Running { .. } | Self::Busy | Self::Starting | Self::Stopping | Self::Stabilizing
        )
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { what } => write!(f, "the name is taken by something unmanaged: {what}"),
            Self::Held { message } => write!(f, "held back by the operator: {message}"),
            Self::Shadowed { by } => write!(f, "another unit of this name takes precedence: {by}"),
            Self::UnitRefused { message } => write!(f, "the generator refuses the unit: {message}"),
            Self::NotLoaded { message } => write!(f, "unit is not loaded: {message}"),
            Self::HookNotReady { waiting_for } => write!(f, "hook waits for {waiting_for}"),
            Self::BackOff { work, failures, error } => {
                write!(f, "{} failed {}: {error}", work_in_words(*work), times(*failures))
            }
            Self::Running { work } => write!(f, "{} is in progress", work_in_words(*work)),
            Self::Busy => f.write_str("another start or stop is in progress"),
            Self::Starting => f.write_str("starting"),
            Self::Stopping => f.write_str("stopping"),
            Self::Stabilizing => f.write_str("starting; must stay up for 3 s"),
            Self::CrashLoop { restarts, end } => {
                if let Some(end) = end {
                    write!(f, "{end}, ")?;
                }
                write!(f, "restarting; {restarts} restart(s) so far")
            }
            Self::Observation { what, error } => write!(f, "{what} cannot be read: {error}"),
            Self::Orphan => f.write_str("managed unit that is not in the desired state; adopt: `companion install APP`, delete: `companion remove APP`"),
        }
    }
}

/// Formats a count.
fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn work_in_words(work: Work) -> &'static str {
    match work {
        Work::Hook => "rendering the configuration",
        Work::Image => "building or pulling the image",
        Work::Unit => "writing the unit",
        Work::Load => "loading the unit",
        Work::Service => "starting the service",
        Work::Removal => "stopping or removing the companion",
        Work::Prune => "removing replaced images and files",
    }
}
