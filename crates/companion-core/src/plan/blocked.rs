//! What is not done although something is not as it should be, and what it waits on.

use std::fmt;

use serde::Serialize;

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::observed::Work;
use crate::model::unit::ServiceResult;

/// Something that is not as it should be and that this reconcile does nothing about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The companion.
    pub companion: CompanionName,
    /// What it waits on.
    pub waiting_on: WaitingOn,
    /// When it is looked at again at the latest, apart from the regular resync.
    pub retry_at: Option<Monotonic>,
}

/// What a companion waits on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "on")]
pub enum WaitingOn {
    /// Something that is not ours has its name.
    Conflict {
        /// What and where.
        what: String,
    },
    /// The operator masked its unit.
    Masked,
    /// Another unit of the same name comes first.
    Shadowed {
        /// The file that unit is from.
        by: String,
    },
    /// The host's judge of units refuses its unit.
    UnitRefused {
        /// The judge's own words.
        words: String,
    },
    /// The service manager does not load its unit although the file is right.
    NotLoaded {
        /// The service manager's words.
        words: String,
    },
    /// Its hook cannot say yet what the configuration is.
    HookNotReady {
        /// What the hook waits for.
        waiting_for: String,
    },
    /// An attempt failed and is tried again later.
    BackOff {
        /// What failed.
        work: Work,
        /// How often in a row.
        failures: u32,
        /// The last error.
        error: String,
    },
    /// Work that an earlier reconcile began.
    Running {
        /// Which.
        work: Work,
    },
    /// A job of the service manager.
    Job,
    /// The service is starting.
    Starting,
    /// The service is stopping.
    Stopping,
    /// It was started a moment ago; it counts as running once it has stayed up.
    Stabilizing,
    /// It ended, and the service manager is about to start it again.
    CrashLoop {
        /// How often it has been started again.
        restarts: u32,
        /// How it ended.
        result: String,
        /// Its exit code, or the number of the signal that ended it.
        exit_status: Option<i32>,
    },
    /// A part of the host that could not be read.
    Observation {
        /// Which part.
        what: &'static str,
        /// Why not.
        error: String,
    },
    /// Nobody: it is ours and on the host, but no record wants it or wants it gone.
    Orphan,
}

impl WaitingOn {
    /// Which of these it is, in one word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Masked => "masked",
            Self::Shadowed { .. } => "shadowed",
            Self::UnitRefused { .. } => "unit-refused",
            Self::NotLoaded { .. } => "not-loaded",
            Self::HookNotReady { .. } => "hook-not-ready",
            Self::BackOff { .. } => "back-off",
            Self::Running { .. } => "running",
            Self::Job => "job",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stabilizing => "stabilizing",
            Self::CrashLoop { .. } => "crash-loop",
            Self::Observation { .. } => "observation",
            Self::Orphan => "orphan",
        }
    }

    /// The words for a service that ended and is about to be started again.
    pub fn crash_loop(restarts: u32, result: &ServiceResult, exit_status: Option<i32>) -> Self {
        Self::CrashLoop { restarts, result: result.to_string(), exit_status }
    }

    /// Whether it passes by itself within moments, so that a pass waits for it.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Running { .. } | Self::Job | Self::Starting | Self::Stopping | Self::Stabilizing
        )
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { what } => write!(f, "the name is taken by something unmanaged: {what}"),
            Self::Masked => f.write_str("unit is masked by the operator"),
            Self::Shadowed { by } => write!(f, "another unit of this name takes precedence: {by}"),
            Self::UnitRefused { words } => write!(f, "the generator refuses the unit: {words}"),
            Self::NotLoaded { words } => write!(f, "unit is not loaded: {words}"),
            Self::HookNotReady { waiting_for } => write!(f, "hook waits for {waiting_for}"),
            Self::BackOff { work, failures, error } => {
                write!(f, "{} failed {}: {error}", work_in_words(*work), times(*failures))
            }
            Self::Running { work } => write!(f, "{} is in progress", work_in_words(*work)),
            Self::Job => f.write_str("a job of the service manager"),
            Self::Starting => f.write_str("starting"),
            Self::Stopping => f.write_str("stopping"),
            Self::Stabilizing => f.write_str("starting; must stay up for 3 s"),
            Self::CrashLoop { restarts, result, exit_status } => {
                write!(f, "exited ({result}")?;
                if let Some(status) = exit_status {
                    write!(f, ", status {status}")?;
                }
                write!(f, "), restarting; {restarts} restart(s) so far")
            }
            Self::Observation { what, error } => write!(f, "{what} cannot be read: {error}"),
            Self::Orphan => f.write_str("managed unit that is not in the desired state; adopt: `companion install APP`, delete: `companion remove APP`"),
        }
    }
}

/// How often, in words.
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
        Work::Removal => "removing the companion",
        Work::Prune => "removing replaced images and files",
    }
}
