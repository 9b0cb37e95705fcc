//! The sections that systemd reads itself, and `[Quadlet]`.

use std::{collections::BTreeMap, fmt, time::Duration};

/// The `[Unit]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// `Description=`.
    pub description: Option<String>,
    /// `Wants=`: names of units, with their suffix.
    pub wants: Vec<String>,
    /// `Requires=`.
    pub requires: Vec<String>,
    /// `After=`.
    pub after: Vec<String>,
    /// `RequiresMountsFor=`: absolute paths without quotes and backslashes. The unit starts after the file systems that
    /// they are on, and not without them.
    pub requires_mounts_for: Vec<String>,
    /// `StartLimitIntervalSec=`: whole microseconds; zero disables the limit.
    pub start_limit_interval: Option<Duration>,
    /// `StartLimitBurst=`: starts within the interval.
    pub start_limit_burst: Option<u32>,
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
    /// `RestartSec=`: whole microseconds.
    pub restart_delay: Option<Duration>,
    /// `MemoryMax=` in bytes, not zero.
    pub memory_max: Option<u64>,
    /// `CPUQuota=` in percent of one processor, not zero; 150 is one and a half.
    pub cpu_quota: Option<u32>,
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

/// The `[Install]` section: names of units, with their suffix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Install {
    /// `WantedBy=`, such as `default.target`.
    pub wanted_by: Vec<String>,
    /// `RequiredBy=`.
    pub required_by: Vec<String>,
    /// `UpheldBy=`: needs Podman 5.5, the first generator that creates the link.
    pub upheld_by: Vec<String>,
}

/// The `[Quadlet]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quadlet {
    /// `DefaultDependencies=`: whether the unit waits for the network to be online, which Podman adds from 5.3 on.
    ///
    /// `false` is rendered from 5.3 on, and omitted before, where there is nothing to disable.
    pub default_dependencies: bool,
}

impl Default for Quadlet {
    fn default() -> Self {
        Self { default_dependencies: true }
    }
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

    /// Returns whether no variable is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
