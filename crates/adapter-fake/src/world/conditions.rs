//! Conditions and durations of the host.

use std::time::Duration;

use companion_core::model::host::HostTraits;

/// The generator that turns unit files into services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Generator {
    /// It works.
    #[default]
    Works,
    /// It is missing or crashes: a reload loads no unit of the directory.
    Missing,
    /// Two instances run concurrently at the next reload and corrupt their output; then it works again.
    CorruptsOnce,
}

/// The file system of units, configuration and the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Disk {
    /// It is writable.
    #[default]
    Writable,
    /// It is full.
    Full,
    /// It is mounted read-only.
    ReadOnly,
    /// Its directories deny writes.
    Denied,
}

/// A rate limit: `burst` times in `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// The number of events.
    pub burst: u32,
    /// The interval.
    pub interval: Duration,
}

/// Conditions of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// Whether the service manager is reachable.
    pub bus: bool,
    /// Whether the user's services outlive the last session (lingering).
    pub linger: bool,
    /// Whether Podman is installed.
    pub podman: bool,
    /// The generator.
    pub generator: Generator,
    /// Whether the unit directory contains an unmanaged file that the generator cannot parse.
    pub broken_unmanaged_file: bool,
    /// Whether the generator validates a unit before it is written.
    pub validates: bool,
    /// The file system.
    pub disk: Disk,
    /// The start limit; 5 in 10 s by default (systemd-system.conf(5)).
    pub start_limit: Limit,
    /// The reload limit; unlimited by default (`ReloadLimitBurst=`).
    pub reload_limit: Option<Limit>,
    /// Whether a rebuild of the same context gives another image id.
    pub fresh_build_ids: bool,
    /// The offset of the wall clock in seconds.
    pub wall_offset: i64,
    /// Whether the host knows how long a service has been up; a clock that was set back shows nothing.
    pub reports_uptime: bool,
    /// Whether the host reports each change of a service; otherwise only hints of the test are reported.
    pub reports_changes: bool,
    /// What the host has. Without `loads_units` a written unit is loaded immediately; without `keeps_failures` there is
    /// no start limit, and a start that failed leaves nothing behind.
    pub traits: HostTraits,
}

impl Conditions {
    /// The conditions of a host without optional abilities: it has no validator of units either.
    pub fn without_traits() -> Self {
        Self { traits: HostTraits::NONE, validates: false, ..Self::default() }
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            bus: true,
            linger: true,
            podman: true,
            generator: Generator::Works,
            broken_unmanaged_file: false,
            validates: true,
            disk: Disk::Writable,
            start_limit: Limit { burst: 5, interval: Duration::from_secs(10) },
            reload_limit: None,
            fresh_build_ids: false,
            wall_offset: 0,
            reports_uptime: true,
            reports_changes: false,
            traits: HostTraits::ALL,
        }
    }
}

/// Durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delays {
    /// From the start of a service until it is ready or fails.
    pub start: Duration,
    /// From SIGTERM until the program exits.
    pub stop: Duration,
    /// From ready until a crash; at least 1 ms.
    pub crash: Duration,
    /// The start timeout (`TimeoutStartSec=`).
    pub start_timeout: Duration,
    /// A write or removal of a unit file, including validation.
    pub write: Duration,
    /// A reload.
    pub reload: Duration,
    /// A build.
    pub build: Duration,
    /// A pull from a registry that is neither down nor slow.
    pub pull: Duration,
    /// The timeout of a build or a pull.
    pub image_limit: Duration,
    /// A rendering.
    pub render: Duration,
    /// The timeout of a rendering.
    pub render_limit: Duration,
    /// The timeout of waiting for a job.
    pub job_limit: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            start: Duration::from_millis(400),
            stop: Duration::from_millis(200),
            crash: Duration::from_millis(100),
            start_timeout: Duration::from_secs(90),
            write: Duration::from_millis(20),
            reload: Duration::from_millis(200),
            build: Duration::from_secs(20),
            pull: Duration::from_secs(10),
            image_limit: Duration::from_secs(600),
            render: Duration::from_millis(20),
            render_limit: Duration::from_secs(30),
            job_limit: Duration::from_secs(120),
        }
    }
}

impl Delays {
    /// Returns zero durations, for searches that count steps instead of seconds.
    pub fn none() -> Self {
        Self {
            start: Duration::ZERO,
            stop: Duration::ZERO,
            write: Duration::ZERO,
            reload: Duration::ZERO,
            build: Duration::ZERO,
            pull: Duration::ZERO,
            render: Duration::ZERO,
            ..Self::default()
        }
    }
}

/// The service manager's rate limit: a window that starts with the first event after the last window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct RateLimit {
    begin: Option<Duration>,
    count: u32,
}

impl RateLimit {
    /// Returns the same limit on a clock on which `now` is `origin`, without an expired window.
    pub(crate) fn rebased(self, now: Duration, origin: Duration, limit: Limit) -> Self {
        let open = self.begin.filter(|begin| now.saturating_sub(*begin) <= limit.interval);
        match open {
            Some(begin) => Self {
                begin: Some((begin + origin).saturating_sub(now)),
                // How far a limit is exceeded makes no difference.
                count: self.count.min(limit.burst.saturating_add(1)),
            },
            None => Self::default(),
        }
    }

    /// Counts an event at `now` and returns whether it is below `limit`.
    pub(crate) fn allows(&mut self, now: Duration, limit: Limit) -> bool {
        let open = self.begin.is_some_and(|begin| now.saturating_sub(begin) <= limit.interval);
        if !open {
            *self = Self { begin: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= limit.burst
    }
}
