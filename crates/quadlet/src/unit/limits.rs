//! Settings that are two keys each, in seconds, and right only together: when a start is complete and how long it may take, and how
//! long a stop may take. The types hold no pair in which the outer limit is not above the inner one.

use std::num::NonZeroU32;

/// When a start is complete, and the limit for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Start {
    /// When the container runs, within the limit of the service manager.
    #[default]
    Running,
    /// When the container runs, within `TimeoutStartSec=` (systemd reads zero as no limit).
    RunningWithin(NonZeroU32),
    /// When the health check first succeeds: `Notify=healthy`. Needs Podman 5.0: before, Quadlet reads the value as
    /// `no` and the start is complete without a check.
    Healthy {
        /// The check.
        check: HealthCheck,
        /// Seconds that `TimeoutStartSec=` exceeds [`HealthCheck::longest`] by: the time to create the container.
        margin: NonZeroU32,
    },
}

/// A health check: `HealthCmd=` and its times, in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// A command for the container's `/bin/sh`; its exit status 0 means healthy.
    pub command: String,
    /// `HealthInterval=`: between the end of a check and the next one.
    pub interval: NonZeroU32,
    /// `HealthTimeout=`: a check that takes longer has failed.
    pub timeout: NonZeroU32,
    /// `HealthRetries=`: failures in a row that make the container unhealthy.
    pub retries: NonZeroU32,
    /// `HealthStartPeriod=`: failures in it do not count.
    pub start_period: u32,
}

impl HealthCheck {
    /// The seconds in which a container is healthy or unhealthy: the start period, and for each retry an interval and a
    /// check that takes as long as it may.
    #[must_use]
    pub fn longest(&self) -> u64 {
        let check = u64::from(self.interval.get()) + u64::from(self.timeout.get());
        let checks = check.saturating_mul(self.retries.get().into());
        checks.saturating_add(self.start_period.into())
    }
}

/// How long a stop may take: `StopTimeout=` and `TimeoutStopSec=`.
///
/// Podman kills the container and cleans up when the grace is over. If systemd's limit ended first, systemd would kill
/// Podman and leave the container behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Seconds between the stop signal and SIGKILL.
    pub grace: u32,
    /// Seconds that systemd waits longer.
    pub margin: NonZeroU32,
}

impl Stop {
    /// Returns `TimeoutStopSec=`.
    #[must_use]
    pub fn limit(self) -> u64 {
        u64::from(self.grace) + u64::from(self.margin.get())
    }
}
