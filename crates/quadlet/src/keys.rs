//! The key table: every rendered key, with its section, its escaping class, the first Podman with it, and the `podman
//! run` option that replaces it before.
//!
//! The versions are those of Podman's releases, as `testdata/container-keys.txt` has them with their evidence. The
//! classes follow from the accessor with which Quadlet reads the key; it is the same in each release that was read.

use crate::{PodmanVersion, Refusal, RenderError};

/// How a key's value is parsed, and therefore how it has to be escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `Lookup`: the last line wins; blanks and double quotes at the ends are lost, nothing is split or unescaped.
    Scalar,
    /// `LookupBoolean`: `true` or absent.
    Bool,
    /// `LookupAll`: each line is a value, neither split nor unescaped.
    Line,
    /// `LookupAllStrv`: split at blanks, quotes removed, backslashes are literal.
    Strv,
    /// `LookupAllArgs`: split, unquoted and unescaped; lines add up.
    Args,
    /// `LookupAllKeyVal`: as [`Class::Args`], then split at the first `=`.
    KeyVal,
    /// `LookupLastArgs`: as [`Class::Args`], but one line has all words.
    LastArgs,
    /// Read by systemd as one text, with `%` expanded.
    SystemdText,
    /// Read by systemd as a number, time, size or single word, without expansion.
    SystemdValue,
    /// `Environment=` of `[Service]`: split, unquoted, unescaped and `%` expanded by systemd.
    SystemdEnvironment,
    /// Absolute paths joined by blanks, unquoted but not unescaped by systemd, with `%` expanded.
    SystemdPaths,
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) since: PodmanVersion,
    /// The equivalent option in `PodmanArgs=` for a Podman before [`Key::since`].
    pub(crate) stand_in: Option<&'static str>,
}

const fn key(section: &'static str, name: &'static str, class: Class) -> Key {
    Key { section, name, class, since: PodmanVersion::FLOOR, stand_in: None }
}

const fn container(name: &'static str, class: Class) -> Key {
    key("Container", name, class)
}

impl Key {
    const fn since(self, major: u32, minor: u32) -> Self {
        Self { since: PodmanVersion::new(major, minor, 0), ..self }
    }

    const fn before_that(self, option: &'static str) -> Self {
        Self { stand_in: Some(option), ..self }
    }

    /// Adds the location of this key.
    pub(crate) fn refuse(&self, refusal: Refusal) -> RenderError {
        refusal.at(self.section, self.name)
    }
}

pub(crate) const DESCRIPTION: Key = key("Unit", "Description", Class::SystemdText);
pub(crate) const REQUIRES_MOUNTS_FOR: Key = key("Unit", "RequiresMountsFor", Class::SystemdPaths);
pub(crate) const START_LIMIT_INTERVAL: Key =
    key("Unit", "StartLimitIntervalSec", Class::SystemdValue);

pub(crate) const IMAGE: Key = container("Image", Class::Scalar);
pub(crate) const CONTAINER_NAME: Key = container("ContainerName", Class::Scalar);
pub(crate) const USER: Key = container("User", Class::Scalar);
pub(crate) const GROUP: Key = container("Group", Class::Scalar);
pub(crate) const NETWORK: Key = container("Network", Class::Line);
pub(crate) const PUBLISH_PORT: Key = container("PublishPort", Class::Line);
/// `PublishPort=` for the address `0.0.0.0`, which Quadlet drops before 5.3.
pub(crate) const PUBLISH_PORT_AS_IS: Key =
    container("PublishPort", Class::Line).since(5, 3).before_that("--publish");
pub(crate) const ADD_HOST: Key =
    container("AddHost", Class::Line).since(5, 3).before_that("--add-host");
pub(crate) const VOLUME: Key = container("Volume", Class::Line);
pub(crate) const MOUNT: Key = container("Mount", Class::Args).since(4, 5).before_that("--mount");
pub(crate) const TMPFS: Key = container("Tmpfs", Class::Line).since(4, 5).before_that("--tmpfs");
pub(crate) const ADD_DEVICE: Key = container("AddDevice", Class::Strv);
pub(crate) const ENVIRONMENT: Key = container("Environment", Class::KeyVal);
pub(crate) const SECRET: Key = container("Secret", Class::Args).since(4, 5).before_that("--secret");
pub(crate) const LABEL: Key = container("Label", Class::KeyVal);
pub(crate) const DROP_CAPABILITY: Key = container("DropCapability", Class::Strv);
pub(crate) const ADD_CAPABILITY: Key = container("AddCapability", Class::Strv);
pub(crate) const NO_NEW_PRIVILEGES: Key = container("NoNewPrivileges", Class::Bool);
pub(crate) const READ_ONLY: Key = container("ReadOnly", Class::Bool);
pub(crate) const WORKING_DIR: Key =
    container("WorkingDir", Class::Scalar).since(4, 6).before_that("--workdir");
pub(crate) const ENTRYPOINT: Key =
    container("Entrypoint", Class::Scalar).since(5, 0).before_that("--entrypoint");
pub(crate) const EXEC: Key = container("Exec", Class::LastArgs);
pub(crate) const PULL: Key = container("Pull", Class::Scalar).since(4, 6).before_that("--pull");
pub(crate) const STOP_TIMEOUT: Key =
    container("StopTimeout", Class::Scalar).since(5, 0).before_that("--stop-timeout");
/// `Notify=healthy`; a 4.x generator reads the value as `no`.
pub(crate) const NOTIFY_HEALTHY: Key = container("Notify", Class::Scalar).since(5, 0);
pub(crate) const HEALTH_CMD: Key =
    container("HealthCmd", Class::Scalar).since(4, 5).before_that("--health-cmd");
pub(crate) const HEALTH_INTERVAL: Key =
    container("HealthInterval", Class::Scalar).since(4, 5).before_that("--health-interval");
pub(crate) const HEALTH_TIMEOUT: Key =
    container("HealthTimeout", Class::Scalar).since(4, 5).before_that("--health-timeout");
pub(crate) const HEALTH_RETRIES: Key =
    container("HealthRetries", Class::Scalar).since(4, 5).before_that("--health-retries");
pub(crate) const HEALTH_START_PERIOD: Key =
    container("HealthStartPeriod", Class::Scalar).since(4, 5).before_that("--health-start-period");
pub(crate) const PODMAN_ARGS: Key = container("PodmanArgs", Class::Args);

pub(crate) const SERVICE_ENVIRONMENT: Key =
    key("Service", "Environment", Class::SystemdEnvironment);
pub(crate) const RESTART: Key = key("Service", "Restart", Class::SystemdValue);
pub(crate) const RESTART_SEC: Key = key("Service", "RestartSec", Class::SystemdValue);
pub(crate) const TIMEOUT_START_SEC: Key = key("Service", "TimeoutStartSec", Class::SystemdValue);
pub(crate) const TIMEOUT_STOP_SEC: Key = key("Service", "TimeoutStopSec", Class::SystemdValue);
pub(crate) const MEMORY_MAX: Key = key("Service", "MemoryMax", Class::SystemdValue);
pub(crate) const CPU_QUOTA: Key = key("Service", "CPUQuota", Class::SystemdValue);

pub(crate) const WANTED_BY: Key = key("Install", "WantedBy", Class::SystemdValue);

pub(crate) const DEFAULT_DEPENDENCIES: Key =
    key("Quadlet", "DefaultDependencies", Class::SystemdValue).since(5, 3);

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of `[Container]` whose version is that of the key, not of a value.
    const KEYS: [&Key; 30] = [
        &IMAGE,
        &CONTAINER_NAME,
        &USER,
        &GROUP,
        &NETWORK,
        &PUBLISH_PORT,
        &ADD_HOST,
        &VOLUME,
        &MOUNT,
        &TMPFS,
        &ADD_DEVICE,
        &ENVIRONMENT,
        &SECRET,
        &LABEL,
        &DROP_CAPABILITY,
        &ADD_CAPABILITY,
        &NO_NEW_PRIVILEGES,
        &READ_ONLY,
        &WORKING_DIR,
        &ENTRYPOINT,
        &EXEC,
        &PULL,
        &STOP_TIMEOUT,
        &HEALTH_CMD,
        &HEALTH_INTERVAL,
        &HEALTH_TIMEOUT,
        &HEALTH_RETRIES,
        &HEALTH_START_PERIOD,
        &PODMAN_ARGS,
        // Its value came in 5.0.
        &Key { since: PodmanVersion::FLOOR, ..NOTIFY_HEALTHY },
    ];

    #[test]
    fn versions_of_keys_are_those_of_the_generators_tables() {
        let lines = include_str!("../testdata/container-keys.txt").lines();
        let table: Vec<(&str, PodmanVersion)> = lines
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_once(' ').expect("a key and a version"))
            .map(|(key, version)| (key, version.parse().expect("a version")))
            .collect();
        for key in KEYS {
            assert!(table.contains(&(key.name, key.since)), "{}: {}", key.name, key.since);
        }
    }
}
