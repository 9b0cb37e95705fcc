//! Who leads: what a leader says about itself, for the processes that wait for it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use companion_core::model::container::AbsolutePath;
use serde::{Deserialize, Serialize};

/// What a leader says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeaderInfo {
    /// Its process.
    pub pid: u32,
    /// When that process started, in clock ticks since boot (`starttime` of proc_pid_stat(5)): it distinguishes
    /// the process from a later one with the same number.
    pub started: u64,
    /// Its name for people, such as `companion run`.
    pub program: String,
    /// For how long it leads.
    pub role: Role,
    /// The version of the program.
    pub version: String,
    /// The directory with its desired state and its status.
    pub state_dir: PathBuf,
    /// Since when it leads, in seconds since 1970 by the wall clock.
    pub since: u64,
    /// The options that it decides with.
    pub settings: Settings,
}

/// For how long a process leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// For as long as it runs: a daemon, or a program that embeds this library.
    Daemon,
    /// Until what it was asked for is done.
    #[default]
    Command,
}

/// The options that change decisions. What holds permanently belongs into a catalog file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// The catalog files, in the order in which they are read.
    pub catalogs: Vec<PathBuf>,
    /// Directories with build contexts that come before those of the catalog.
    pub contexts: Vec<AbsolutePath>,
    /// Build arguments that come before those of the catalog.
    pub build_arguments: BTreeMap<String, String>,
}

impl LeaderInfo {
    /// This process, as `program`.
    pub fn of_this_process(
        program: impl Into<String>,
        role: Role,
        version: impl Into<String>,
        state_dir: impl Into<PathBuf>,
        settings: Settings,
    ) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let pid = std::process::id();
        Self {
            pid,
            started: started(pid).unwrap_or_default(),
            program: program.into(),
            role,
            version: version.into(),
            state_dir: state_dir.into(),
            since,
            settings,
        }
    }

    /// A leader that has not yet written who it is.
    pub(super) fn unknown() -> Self {
        Self { program: "another process".to_owned(), ..Self::default() }
    }
}

impl fmt::Display for LeaderInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        if self.pid != 0 {
            write!(f, " (pid {})", self.pid)?;
        }
        Ok(())
    }
}

/// When the process `pid` started, in clock ticks since boot; `None` when there is none.
pub(super) fn started(pid: u32) -> Option<u64> {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name in the second field may hold anything, so fields are counted from its end.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}
