//! Blocked work and the conditions it waits on.

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "on")]
pub enum WaitingOn {
    /// An unmanaged object has its name.
    #[error("the name is taken by something unmanaged: {what}")]
    Conflict {
        /// What and where.
        what: String,
    },
    /// The operator holds its unit back.
    #[error("held back by the operator: {message}")]
    Held {
        /// The host's message.
        message: String,
    },
    /// Another unit of the same name takes precedence.
    #[error("another unit of this name takes precedence: {by}")]
    Shadowed {
        /// Where that unit comes from.
        by: String,
    },
    /// The generator rejects its unit.
    #[error("the generator refuses the unit: {message}")]
    UnitRefused {
        /// The generator's message.
        message: String,
    },
    /// The service manager does not load its unit although the file is correct.
    #[error("unit is not loaded: {message}")]
    NotLoaded {
        /// The service manager's message.
        message: String,
    },
    /// Its hook cannot render yet.
    #[error("hook waits for {waiting_for}")]
    HookNotReady {
        /// What the hook waits for.
        waiting_for: String,
    },
    /// An attempt failed and is in back-off.
    #[error("{} failed {}: {error}", .work.words().0, times(*.failures))]
    BackOff {
        /// What failed.
        work: Work,
        /// How often in a row.
        failures: u32,
        /// The last error.
        error: String,
    },
    /// Work of an earlier reconcile is running.
    #[error("{} is in progress", .work.words().0)]
    Running {
        /// Which.
        work: Work,
    },
    /// Another start or stop of the service.
    #[error("another start or stop is in progress")]
    Busy,
    /// The service is starting.
    #[error("starting")]
    Starting,
    /// The service is stopping.
    #[error("stopping")]
    Stopping,
    /// It was started and must stay up before it counts as running.
    #[error("starting; must stay up for 3 s")]
    Stabilizing,
    /// It exited, and the service manager is about to restart it.
    #[error("{}restarting; {restarts} restart(s) so far", ended(.end.as_ref()))]
    CrashLoop {
        /// The number of restarts.
        restarts: u32,
        /// How the last run ended, if known.
        end: Option<End>,
    },
    /// A part of the host cannot be read.
    #[error("{what} cannot be read: {error}")]
    Observation {
        /// Which part.
        what: &'static str,
        /// The error.
        error: String,
    },
    /// The companion is managed but not in the desired state.
    #[error(
        "managed unit that is not in the desired state; adopt: `companion install APP`, delete: `companion remove APP`"
    )]
    Orphan,
}

impl WaitingOn {
    /// Returns the reason as one word for programs: its name as JSON has it.
    pub fn reason(&self) -> String {
        let tagged = serde_json::to_value(self).unwrap_or_default();
        tagged.get("on").and_then(|word| word.as_str()).unwrap_or_default().to_owned()
    }

    /// Returns whether it resolves without action soon, so that converging waits for it.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Running { .. } | Self::Busy | Self::Starting | Self::Stopping | Self::Stabilizing
        )
    }
}

fn ended(end: Option<&End>) -> String {
    end.map(|end| format!("{end}, ")).unwrap_or_default()
}

/// Formats a count.
fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
