//! The sections that systemd reads itself.

use std::{
    collections::BTreeMap,
    fmt,
    num::{NonZeroU32, NonZeroU64},
};

/// The `[Unit]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// `Description=`.
    pub description: Option<String>,
    /// `RequiresMountsFor=`: absolute paths without quotes and backslashes. The unit starts after the file systems that
    /// they are on, and not without them.
    pub requires_mounts_for: Vec<String>,
    /// `StartLimitIntervalSec=0`: the unit may be started as often as requested.
    pub without_start_limit: bool,
}

/// The `[Service]` section.
///
/// The memory limit is set here for every version of Podman. `Memory=` of `[Container]` exists only from 5.5 on, so one
/// companion would have two forms, and the container runs inside the unit's own control group (`--cgroups=split`),
/// where the kernel enforces `MemoryMax=` on all of it. The limit is then visible in systemd, but not in `podman
/// inspect`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// `Environment=` of the podman process, not of the container.
    pub environment: Environment,
    /// `Restart=`.
    pub restart: Option<RestartPolicy>,
    /// `RestartSec=` in seconds.
    pub restart_delay: Option<u32>,
    /// `MemoryMax=` in bytes.
    pub memory_max: Option<NonZeroU64>,
    /// `CPUQuota=` in percent of one processor; 150 is one and a half.
    pub cpu_quota: Option<NonZeroU32>,
}

/// When systemd restarts the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// After every exit.
    Always,
    /// After a failure.
    OnFailure,
    /// Never.
    No,
}

/// Environment variables by name.
///
/// `Debug` shows only the names, because a value may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Sets a variable; replaces one with the same name.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Returns names and values, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
