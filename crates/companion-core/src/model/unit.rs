//! Units: the typed value that becomes a unit file, and the states that a service manager knows.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::companion::CompanionName;
use super::container::{AbsolutePath, ContainerSpec};
use super::image::ImageId;
use super::revision::{Fingerprint, Revision};

/// All that a unit file says, before any adapter gave it a form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitSpec {
    /// The companion, and with it the unit's and the container's name.
    pub name: CompanionName,
    /// One line for people.
    pub description: String,
    /// The image. A name could point to another image at the next start.
    pub image: ImageId,
    /// How the container is run.
    pub container: ContainerSpec,
    /// The rendered file, which no other program reads; the source of one of the mounts, as a rule.
    pub config: Option<AbsolutePath>,
    /// What should be running.
    pub revision: Revision,
}

/// Declares an enum over the words of a D-Bus property, open for words newer than us.
macro_rules! state_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A word that this version does not know.
            Other(String),
        }

        impl $name {
            /// Reads the service manager's word.
            pub fn from_word(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }

            /// The service manager's word.
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
    /// Whether the service manager has the unit (`LoadState`, org.freedesktop.systemd1(5)).
    LoadState {
        /// It is loaded.
        Loaded = "loaded",
        /// There is no such unit.
        NotFound = "not-found",
        /// A setting that cannot be understood.
        BadSetting = "bad-setting",
        /// It could not be loaded.
        Error = "error",
        /// The operator made it unstartable.
        Masked = "masked",
    }
}

state_words! {
    /// What the unit does (`ActiveState`).
    ActiveState {
        /// It runs.
        Active = "active",
        /// It runs and reads its configuration again.
        Reloading = "reloading",
        /// It runs and its configuration is read again by the service manager (systemd 253).
        Refreshing = "refreshing",
        /// It does not run.
        Inactive = "inactive",
        /// It ended with an error and is not tried again.
        Failed = "failed",
        /// It is being started, or waits to be started again.
        Activating = "activating",
        /// It is being stopped.
        Deactivating = "deactivating",
        /// It is being cleaned.
        Maintenance = "maintenance",
    }
}

state_words! {
    /// The finer state of a service (`SubState`); only those that a decision hangs on are named.
    SubState {
        /// The process runs.
        Running = "running",
        /// It ended and waits for its next start.
        AutoRestart = "auto-restart",
        /// Its next start is queued (systemd 254).
        AutoRestartQueued = "auto-restart-queued",
        /// Ended with an error on the way to `auto-restart` (systemd 254).
        FailedBeforeAutoRestart = "failed-before-auto-restart",
        /// Ended on the way to `auto-restart` (systemd 254).
        DeadBeforeAutoRestart = "dead-before-auto-restart",
        /// Nothing runs.
        Dead = "dead",
        /// Nothing runs, after an error.
        Failed = "failed",
    }
}

impl SubState {
    /// Whether the service manager is about to start the service again by itself.
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
    /// How the last run ended (`Result` of org.freedesktop.systemd1.Service).
    ServiceResult {
        /// Well.
        Success = "success",
        /// With an exit code that is not zero.
        ExitCode = "exit-code",
        /// Killed by a signal.
        Signal = "signal",
        /// Killed by a signal, with a core dump.
        CoreDump = "core-dump",
        /// A time limit passed.
        Timeout = "timeout",
        /// Started too often; only a reset lets it start again.
        StartLimitHit = "start-limit-hit",
        /// Out of memory.
        OomKill = "oom-kill",
        /// Resources were lacking.
        Resources = "resources",
        /// The rules of the notification protocol were broken.
        Protocol = "protocol",
        /// The watchdog was not fed.
        Watchdog = "watchdog",
    }
}

/// One service as the service manager has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// Whether the unit is loaded.
    pub load: LoadState,
    /// What it does.
    pub active: ActiveState,
    /// The finer state.
    pub sub: SubState,
    /// How the last run ended.
    pub result: ServiceResult,
    /// Whether a job for the unit is queued or running.
    pub job_pending: bool,
    /// How often the service manager restarted it by itself since it was last started.
    pub restarts: u32,
    /// The file that the loaded unit was made from, if the service manager can tell.
    pub source: Option<String>,
    /// The revision that the loaded unit names.
    pub loaded: Option<Revision>,
    /// The revision that the running process was started with.
    pub running: Option<Revision>,
    /// What tells the present run from every other: another value after each start. While nothing runs
    /// it is that of the last run, or nothing.
    pub invocation: Option<String>,
    /// Whether the processes are frozen (`podman pause`).
    pub paused: bool,
    /// How long it has been active without a break.
    pub active_for: Duration,
    /// The exit status of the last run's first process: its exit code, or the signal's number.
    /// Nothing while a later run has not ended.
    pub exit_status: Option<i32>,
    /// When it entered its present state, in seconds since 1970 by the host's wall clock.
    pub since: Option<u64>,
    /// What went wrong when the unit was loaded, in the service manager's words.
    pub load_error: Option<String>,
    /// The files with which an operator changes the loaded unit beside its own file, by their paths.
    pub drop_ins: Vec<String>,
}

impl ServiceState {
    /// A unit that the service manager does not have.
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

    /// Whether its first process runs.
    pub fn is_running(&self) -> bool {
        matches!(
            self.active,
            ActiveState::Active | ActiveState::Reloading | ActiveState::Refreshing
        )
    }

    /// Whether its last run failed, or ended and is about to be repeated: then what that run logged says why.
    pub fn has_failed(&self) -> bool {
        self.active == ActiveState::Failed
            || self.sub.awaits_restart()
            || (self.is_down() && self.result != ServiceResult::Success)
    }

    /// Whether a process is being started, or a job that may start one is pending.
    pub fn is_starting(&self) -> bool {
        self.job_pending || (self.active == ActiveState::Activating && !self.sub.awaits_restart())
    }

    /// Whether nothing of it runs and nothing is about to.
    pub fn is_down(&self) -> bool {
        matches!(self.active, ActiveState::Inactive | ActiveState::Failed)
            && !self.sub.awaits_restart()
            && !self.job_pending
    }
}

/// How a job of the service manager ended (`JobRemoved`, org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobResult {
    /// It was done; a start of a notifying service is done when it is ready.
    Done,
    /// Somebody else's job replaced it.
    Canceled,
    /// Its time ran out.
    Timeout,
    /// It failed.
    Failed,
    /// Something that it depends on failed.
    Dependency,
    /// It did not apply.
    Skipped,
    /// Any other ending.
    Other,
}

impl JobResult {
    /// Reads the service manager's word; an unknown one is no success.
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

/// What lies in the unit store at a companion's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnitFileState {
    /// Nothing.
    Absent,
    /// A unit of ours whose bytes are those of the unit asked about.
    Current {
        /// The revision it carries: the one asked about, under the restart epoch the file names.
        revision: Revision,
    },
    /// A unit of ours whose bytes are those of the unit asked about, and which others may write.
    WrongMode {
        /// As for one that is current.
        revision: Revision,
    },
    /// A unit of ours with other bytes, which nobody is known to have edited: it says what the store
    /// wrote for another specification, or in other words for the same one.
    ///
    /// A unit that names no rendering, written by a release that recorded none, counts as this too:
    /// nothing tells whether somebody edited it.
    Outdated {
        /// The revision that it carries.
        revision: Revision,
    },
    /// A unit of ours with other bytes, which the store did not write.
    Drifted {
        /// The revision that it claims, if it can be read.
        revision: Option<Revision>,
    },
    /// Something that does not carry our mark: it is never touched.
    Unmanaged {
        /// What it is, for people.
        what: String,
    },
}

impl UnitFileState {
    /// The revision that the file names, if it is managed and can be read.
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

/// A unit file in the store, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// What lies there.
    pub state: UnitFileState,
    /// Where the store keeps it, as the service manager names the source of a loaded unit.
    pub location: String,
    /// The rendering of the unit asked about, whatever lies there: the part of a revision. Nothing
    /// when no unit was asked about, or when the store cannot say it.
    pub rendering: Option<Fingerprint>,
    /// The files with which an operator changes the unit in the store beside its own file, by their paths;
    /// the service manager may have loaded the unit without them.
    pub drop_ins: Vec<String>,
}

/// A container of the container host at a companion's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ContainerState {
    /// There is none.
    Absent,
    /// One that carries our mark, in the container host's own word for its state.
    Ours {
        /// `running`, `exited`, `created`, `paused` …
        status: String,
    },
    /// One that does not: starting our unit would replace it.
    Unmanaged {
        /// Its image, for people.
        image: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_between_two_tries_is_not_down() {
        let mut state = ServiceState::not_found();
        assert!(state.is_down());
        state.active = ActiveState::Failed;
        state.sub = SubState::FailedBeforeAutoRestart;
        assert!(!state.is_down(), "systemd 254 passes through failed on its way to auto-restart");
    }

    #[test]
    fn a_word_that_is_not_known_is_kept() {
        assert_eq!(ActiveState::from_word("melting").word(), "melting");
        assert_eq!(JobResult::from_word("frozen"), JobResult::Other);
    }
}
