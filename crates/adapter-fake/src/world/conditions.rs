//! The state of the host's parts, and how long things take on it.

use std::time::Duration;

/// The generator that turns unit files into services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Generator {
    /// It works.
    #[default]
    Works,
    /// It is missing or crashes: a reload loads no unit of the directory at all.
    Missing,
    /// Two of them run at once at the next reload and spoil what they write; then it works again.
    CorruptsOnce,
}

/// The file system that units, configuration and the record are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Disk {
    /// It takes writes.
    #[default]
    Writable,
    /// It is full.
    Full,
    /// It is mounted read-only.
    ReadOnly,
}

/// How often something may happen: `burst` times in `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// How often.
    pub burst: u32,
    /// In what time.
    pub interval: Duration,
}

/// The state of the host's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// Whether the service manager can be reached.
    pub bus: bool,
    /// Whether the user's services outlive the user's last session.
    pub linger: bool,
    /// Whether the container program is there.
    pub podman: bool,
    /// The generator.
    pub generator: Generator,
    /// Whether a stranger's file lies in the unit directory that the generator cannot parse.
    pub broken_stranger: bool,
    /// Whether a unit is shown to the generator before it is written.
    pub validates: bool,
    /// The file system.
    pub disk: Disk,
    /// How often a service may be started; 5 in 10 s by default (systemd-system.conf(5)).
    pub start_limit: Limit,
    /// How often units may be reloaded; unlimited by default (`ReloadLimitBurst=`).
    pub reload_limit: Option<Limit>,
    /// Whether building the same context again gives another image id.
    pub fresh_build_ids: bool,
    /// Seconds that the wall clock was moved by.
    pub wall_offset: i64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            bus: true,
            linger: true,
            podman: true,
            generator: Generator::Works,
            broken_stranger: false,
            validates: true,
            disk: Disk::Writable,
            start_limit: Limit { burst: 5, interval: Duration::from_secs(10) },
            reload_limit: None,
            fresh_build_ids: false,
            wall_offset: 0,
        }
    }
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delays {
    /// From the start of a service until it is ready, or seen to fail.
    pub start: Duration,
    /// From the signal to stop until the program ended.
    pub stop: Duration,
    /// From ready until a program that crashes has crashed; at least 1 ms.
    pub crash: Duration,
    /// How long a service may take to get ready (`TimeoutStartSec=`).
    pub start_timeout: Duration,
    /// A write or removal of a unit file, with the generator's judgement.
    pub write: Duration,
    /// A reload.
    pub reload: Duration,
    /// A build.
    pub build: Duration,
    /// A pull from a registry that is neither down nor slow.
    pub pull: Duration,
    /// How long a build or a pull may take before it is given up.
    pub image_limit: Duration,
    /// A rendering.
    pub render: Duration,
    /// How long a rendering may take before it is given up.
    pub render_limit: Duration,
    /// How long the end of a job is waited for.
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
    /// Nothing takes any time, for searches that count steps and not seconds.
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

/// The service manager's rate limit: a window that opens with the first event after the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct RateLimit {
    begin: Option<Duration>,
    count: u32,
}

impl RateLimit {
    /// The same limit on a clock on which `now` is `origin`; a window that is over is forgotten.
    pub(crate) fn rebased(self, now: Duration, origin: Duration, limit: Limit) -> Self {
        let open = self.begin.filter(|begin| now.saturating_sub(*begin) <= limit.interval);
        match open {
            Some(begin) => Self {
                begin: Some((begin + origin).saturating_sub(now)),
                // Whether a limit is passed by one or by many makes no difference.
                count: self.count.min(limit.burst.saturating_add(1)),
            },
            None => Self::default(),
        }
    }

    /// Counts an event at `now`, and says whether it is below `limit`.
    pub(crate) fn allows(&mut self, now: Duration, limit: Limit) -> bool {
        let open = self.begin.is_some_and(|begin| now.saturating_sub(begin) <= limit.interval);
        if !open {
            *self = Self { begin: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= limit.burst
    }
}
