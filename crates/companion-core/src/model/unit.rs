//! Units: the typed value rendered to a unit file, and the states of a service manager.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::companion::CompanionName;
use super::container::{AbsolutePath, ContainerSpec};
use super::image::ImageId;
use super::revision::{Fingerprint, Revision};

/// The contents of a unit file, independent of any adapter's format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitSpec {
    /// The companion; also the name of the unit and the container.
    pub name: CompanionName,
    /// `Description=`, one line.
    pub description: String,
    /// The image id: a tag could point to another image at the next start.
    pub image: ImageId,
    /// The container specification.
    pub container: ContainerSpec,
    /// The rendered file, which no other program reads; usually the source of a mount.
    pub config: Option<AbsolutePath>,
    /// The desired revision.
    pub revision: Revision,
}

/// Declares an enum over the values of a D-Bus property, open for unknown values.
macro_rules! state_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A value unknown to this version.
            Other(String),
        }

        impl $name {
            /// Parses the service manager's value.
            pub fn from_word(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }

            /// Returns the service manager's value.
            pub fn word(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}

state_words! {
    /// The load state (`LoadState`, org.freedesktop.systemd1(5)).
    LoadState {
        /// It is loaded.
        Loaded = "loaded",
        /// There is no such unit.
        NotFound = "not-found",
        /// The unit file has an invalid setting.
        BadSetting = "bad-setting",
        /// Loading failed.
        Error = "error",
        /// The operator masked it.
        Masked = "masked",
    }
}

state_words! {
    /// The activation state (`ActiveState`).
    ActiveState {
        /// It runs.
        Active = "active",
        /// It runs and reloads its configuration.
        Reloading = "reloading",
        /// It runs and the service manager refreshes its mounts and credentials (systemd 253).
        Refreshing = "refreshing",
        /// It does not run.
        Inactive = "inactive",
        /// It failed and is not restarted.
        Failed = "failed",
        /// It is starting, or waits for its restart.
        Activating = "activating",
        /// It is stopping.
        Deactivating = "deactivating",
        /// It is being cleaned.
        Maintenance = "maintenance",
    }
}

state_words! {
    /// The substate of a service (`SubState`); only values used by decisions are named.
    SubState {
        /// The process runs.
        Running = "running",
        /// It exited and waits for its restart.
        AutoRestart = "auto-restart",
        /// Its restart is queued (systemd 254).
        AutoRestartQueued = "auto-restart-queued",
        /// It failed and enters `auto-restart` next (systemd 254).
        FailedBeforeAutoRestart = "failed-before-auto-restart",
        /// It exited and enters `auto-restart` next (systemd 254).
        DeadBeforeAutoRestart = "dead-before-auto-restart",
        /// Nothing runs.
        Dead = "dead",
        /// Nothing runs after a failure.
        Failed = "failed",
    }
}

impl SubState {
    /// Returns whether the service manager is about to restart the service.
    pub fn awaits_restart(&self) -> bool {
        matches!(
            self,
            Self::AutoRestart
                | Self::AutoRestartQueued
                | Self::FailedBeforeAutoRestart
                | Self::DeadBeforeAutoRestart
        )
    }
}

state_words! {
    /// The result of the last run (`Result` of org.freedesktop.systemd1.Service).
    ServiceResult {
        /// It succeeded.
        Success = "success",
        /// The exit code was not zero.
        ExitCode = "exit-code",
        /// Killed by a signal.
        Signal = "signal",
        /// Killed by a signal, with a core dump.
        CoreDump = "core-dump",
        /// A timeout expired.
        Timeout = "timeout",
        /// The start limit was hit; a start requires a reset.
        StartLimitHit = "start-limit-hit",
        /// Out of memory.
        OomKill = "oom-kill",
        /// A resource was unavailable.
        Resources = "resources",
        /// The service violated the notification protocol.
        Protocol = "protocol",
        /// The watchdog timeout expired.
        Watchdog = "watchdog",
    }
}

/// The state of one service as the service manager reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// The load state.
    pub load: LoadState,
    /// The activation state.
    pub active: ActiveState,
    /// The substate.
    pub sub: SubState,
    /// The result of the last run.
    pub result: ServiceResult,
    /// Whether a job for the unit is queued or running.
    pub job_pending: bool,
    /// The number of automatic restarts since the last start (`NRestarts`).
    pub restarts: u32,
    /// The source file of the loaded unit, if known (`SourcePath`).
    pub source: Option<String>,
    /// The revision of the loaded unit.
    pub loaded: Option<Revision>,
    /// The revision that the running process was started from.
    pub running: Option<Revision>,
    /// Identifies the current run: changes with each start (`InvocationID`). While nothing runs it is that of
    /// the last run, or `None`.
    pub invocation: Option<String>,
    /// Whether the processes are frozen (`podman pause`).
    pub paused: bool,
    /// The time since it became active.
    pub active_for: Duration,
    /// The exit status of the last run's main process: exit code or signal number. `None` until the current run
    /// ends.
    pub exit_status: Option<i32>,
    /// When it entered its current state, as Unix time.
    pub since: Option<u64>,
    /// The service manager's load error.
    pub load_error: Option<String>,
    /// The paths of the drop-ins of the loaded unit.
    pub drop_ins: Vec<String>,
}

impl ServiceState {
    /// Returns the state of a unit that is not loaded.
    pub fn not_found() -> Self {
        Self {
            load: LoadState::NotFound,
            active: ActiveState::Inactive,
            sub: SubState::Dead,
            result: ServiceResult::Success,
            job_pending: false,
            restarts: 0,
            source: None,
            loaded: None,
            running: None,
            invocation: None,
            paused: false,
            active_for: Duration::ZERO,
            exit_status: None,
            since: None,
            load_error: None,
            drop_ins: Vec::new(),
        }
    }

    /// Returns whether the main process runs.
    pub fn is_running(&self) -> bool {
        matches!(
            self.active,
            ActiveState::Active | ActiveState::Reloading | ActiveState::Refreshing
        )
    }

    /// Returns whether its last run failed, or ended and is about to be restarted: then its log contains the
    /// cause.
    pub fn has_failed(&self) -> bool {
        self.active == ActiveState::Failed
            || self.sub.awaits_restart()
            || (self.is_down() && self.result != ServiceResult::Success)
    }

    /// Returns whether a process is starting, or a pending job may start one.
    pub fn is_starting(&self) -> bool {
        self.job_pending || (self.active == ActiveState::Activating && !self.sub.awaits_restart())
    }

    /// Returns whether nothing runs and nothing is about to start.
    pub fn is_down(&self) -> bool {
        matches!(self.active, ActiveState::Inactive | ActiveState::Failed)
            && !self.sub.awaits_restart()
            && !self.job_pending
    }
}

/// The result of a service manager job (`JobRemoved`, org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobResult {
    /// It finished; the start of a `Type=notify` service finishes when the service is ready.
    Done,
    /// Another job replaced it.
    Canceled,
    /// It timed out.
    Timeout,
    /// It failed.
    Failed,
    /// A dependency failed.
    Dependency,
    /// It was not applicable.
    Skipped,
    /// Any other result.
    Other,
}

impl JobResult {
    /// Parses the service manager's value; an unknown value is not a success.
    pub fn from_word(word: &str) -> Self {
        match word {
            "done" => Self::Done,
            "canceled" => Self::Canceled,
            "timeout" => Self::Timeout,
            "failed" => Self::Failed,
            "dependency" => Self::Dependency,
            "skipped" => Self::Skipped,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Dependency => "dependency",
            Self::Skipped => "skipped",
            Self::Other => "unknown",
        })
    }
}

/// The unit file at a companion's name in the unit store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnitFileState {
    /// No file.
    Absent,
    /// A managed unit with the expected bytes.
    Current {
        /// Its revision: the expected one, with the restart epoch of the file.
        revision: Revision,
    },
    /// A managed unit with the expected bytes that is writable by others.
    WrongMode {
        /// As in `Current`.
        revision: Revision,
    },
    /// A managed unit with other bytes that was not modified outside companion: the store wrote it for another
    /// specification, or rendered the same one differently.
    ///
    /// A unit without a rendering digest, written by an older release, counts as outdated too: modification
    /// cannot be detected.
    Outdated {
        /// Its revision.
        revision: Revision,
    },
    /// A managed unit with bytes that the store did not write.
    Drifted {
        /// The revision that it reports, if readable.
        revision: Option<Revision>,
    },
    /// An object without the ownership label: it is never changed.
    Unmanaged {
        /// A description for people.
        what: String,
    },
}

impl UnitFileState {
    /// Returns the revision of the file, if it is managed and readable.
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::Current { revision }
            | Self::WrongMode { revision }
            | Self::Outdated { revision }
            | Self::Drifted { revision: Some(revision) } => Some(*revision),
            Self::Absent | Self::Drifted { revision: None } | Self::Unmanaged { .. } => None,
        }
    }
}

/// A unit file in the store, and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// The state of the file.
    pub state: UnitFileState,
    /// Its path, in the form of the service manager's `SourcePath`.
    pub location: String,
    /// The rendering digest of the expected unit, independent of the file. `None` if no unit is expected or the
    /// store cannot render it.
    pub rendering: Option<Fingerprint>,
    /// The paths of the unit's drop-ins in the store; the service manager may have loaded the unit without
    /// them.
    pub drop_ins: Vec<String>,
}

/// The container at a companion's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ContainerState {
    /// No container.
    Absent,
    /// A managed container.
    Ours {
        /// Podman's state: `running`, `exited`, `created`, `paused` …
        status: String,
    },
    /// An unmanaged container: starting the unit would replace it.
    Unmanaged {
        /// Its image, for messages.
        image: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_waiting_for_restart_is_not_down() {
        let mut state = ServiceState::not_found();
        assert!(state.is_down());
        state.active = ActiveState::Failed;
        state.sub = SubState::FailedBeforeAutoRestart;
        assert!(!state.is_down(), "systemd 254 passes through failed on its way to auto-restart");
    }

    #[test]
    fn unknown_state_value_is_preserved() {
        assert_eq!(ActiveState::from_word("melting").word(), "melting");
        assert_eq!(JobResult::from_word("frozen"), JobResult::Other);
    }
}
