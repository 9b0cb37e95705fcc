//! The key table: every key that a companion needs, with its section, how its value is read, and what a Podman without it
//! gets.
//!
//! The versions are those of Podman's releases, as `testdata/container-keys.txt` has them with their sources. The
//! classes follow from the accessor with which Quadlet reads the key; it is the same in each release that was read.

use crate::{PodmanVersion, RenderError, escape::Refusal};

/// How the value of a key is read, and therefore how it has to be escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Passed to podman as one argument, neither split nor unescaped (`Lookup`, `LookupAll`): one line for each word.
    Line,
    /// As [`Class::Line`], where a hyphen at the start is an option, and the suffix of a unit names another unit.
    Name,
    /// As [`Class::Line`], where podman reads a JSON array as several words: one plain word stays as it is.
    Array,
    /// Split at blanks, quotes removed, backslashes are literal (`LookupAllStrv`).
    Strv,
    /// Split, unquoted and unescaped (`LookupAllArgs`, `LookupAllKeyVal`, `LookupLastArgs`).
    Args,
    /// Read without expansion: a boolean, number, time, size or plain word, and whatever is in an `[X-…]` section.
    Verbatim,
    /// Read by systemd as one text, with `%` expanded.
    Text,
    /// Absolute paths joined by blanks, unquoted but not unescaped by systemd, with `%` expanded.
    Paths,
    /// `Environment=` of `[Service]`: split, unquoted, unescaped and `%` expanded by systemd.
    Assignments,
}

impl Class {
    /// Returns whether one line holds several words.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Strv | Self::Args | Self::Paths | Self::Assignments)
    }
}

/// What a Podman before the first version with a key gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// No unit.
    Refusal,
    /// This option of `podman run` in `PodmanArgs=`.
    Option(&'static str),
    /// Nothing: there is nothing to set.
    Nothing,
}

/// A key of a section. Those of this module are known; [`Key::new`] makes any other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The section, such as `Container`.
    pub section: &'static str,
    /// The name, such as `Image`.
    pub name: &'static str,
    /// How its value is read.
    pub class: Class,
    /// The first Podman with it.
    pub since: PodmanVersion,
    /// What an older one gets.
    pub before: Before,
}

impl Key {
    /// Creates a key that every Podman with Quadlet has. An `[X-…]` section may have any name but those of Quadlet's own
    /// sections, which the generator renames to `X-…`.
    #[must_use]
    pub const fn new(section: &'static str, name: &'static str, class: Class) -> Self {
        Self { section, name, class, since: PodmanVersion::FLOOR, before: Before::Refusal }
    }

    /// Sets the first Podman with the key.
    #[must_use]
    pub const fn since(self, major: u32, minor: u32, before: Before) -> Self {
        Self { since: PodmanVersion::new(major, minor, 0), before, ..self }
    }

    /// Refuses a value of this key, with what is wrong with it, such as `has a colon`.
    #[must_use]
    pub fn refuse(&self, value: &str, why: &str) -> RenderError {
        RenderError::new(self, None, &Refusal::new(value, why))
    }
}

const fn container(name: &'static str, class: Class) -> Key {
    Key::new("Container", name, class)
}

const fn service(name: &'static str) -> Key {
    Key::new("Service", name, Class::Verbatim)
}

/// A key that came later, in place of an option.
const fn later(
    name: &'static str,
    class: Class,
    (major, minor): (u32, u32),
    option: &'static str,
) -> Key {
    container(name, class).since(major, minor, Before::Option(option))
}

/// The description of the unit.
pub const DESCRIPTION: Key = Key::new("Unit", "Description", Class::Text);
/// Absolute paths without quotes and backslashes. The unit starts after the file systems that they are on, and not without
/// them.
pub const REQUIRES_MOUNTS_FOR: Key = Key::new("Unit", "RequiresMountsFor", Class::Paths);
/// The interval of the start limit; 0 for none.
pub const START_LIMIT_INTERVAL: Key = Key::new("Unit", "StartLimitIntervalSec", Class::Verbatim);

/// A full image ID, or a reference such as `registry/path:tag`: no transport.
pub const IMAGE: Key = container("Image", Class::Name);
/// The container's name; `systemd-` and the unit's name by default.
pub const CONTAINER_NAME: Key = container("ContainerName", Class::Line);
/// The number of the user. Only newer versions read `User=0:0`.
pub const USER: Key = container("User", Class::Line);
/// The number of the group; needs [`USER`].
pub const GROUP: Key = container("Group", Class::Line);
/// A network or a network mode.
pub const NETWORK: Key = container("Network", Class::Name);
/// `[address:]port:port[/protocol]` with another address than `0.0.0.0`.
pub const PUBLISH_PORT: Key = container("PublishPort", Class::Line);
/// [`PUBLISH_PORT`] with the address `0.0.0.0`, which Quadlet drops before 5.3.
pub const PUBLISH_PORT_OF_IPV4: Key = later("PublishPort", Class::Line, (5, 3), "--publish");
/// `name:address` or `name:host-gateway`.
pub const ADD_HOST: Key = later("AddHost", Class::Line, (5, 3), "--add-host");
/// `source:destination[:options]`, for paths without a colon. A source that is no absolute path is a volume.
///
/// Before 5.8 Quadlet also writes a source unquoted into `RequiresMountsFor=`, so a blank or quote in it loses the
/// dependency on the underlying mount, and nothing else.
pub const VOLUME: Key = container("Volume", Class::Name);
/// `type=…,source=…,destination=…`: fields without commas and double quotes, because not every version reads quoted ones.
pub const MOUNT: Key = later("Mount", Class::Args, (4, 5), "--mount");
/// `destination[:options]`, for a path without a colon.
pub const TMPFS: Key = later("Tmpfs", Class::Line, (4, 5), "--tmpfs");
/// `source[:destination]`, for paths without a colon.
pub const ADD_DEVICE: Key = container("AddDevice", Class::Strv);
/// A variable of the container.
pub const ENVIRONMENT: Key = container("Environment", Class::Args);
/// `name,type=env,target=variable`: a secret of Podman's store in a variable. A start fails without it.
pub const SECRET: Key = later("Secret", Class::Args, (4, 5), "--secret");
/// A label of the container.
pub const LABEL: Key = container("Label", Class::Args);
/// Capabilities to drop, such as `all`.
pub const DROP_CAPABILITY: Key = container("DropCapability", Class::Strv);
/// Capabilities to add, such as `CHOWN`; applied after dropping.
pub const ADD_CAPABILITY: Key = container("AddCapability", Class::Strv);
/// `true` keeps processes from gaining privileges.
pub const NO_NEW_PRIVILEGES: Key = container("NoNewPrivileges", Class::Verbatim);
/// `true` for a read-only root file system. Podman still mounts tmpfs at `/run`, `/tmp` and `/var/tmp`.
pub const READ_ONLY: Key = container("ReadOnly", Class::Verbatim);
/// An absolute path.
pub const WORKING_DIR: Key = later("WorkingDir", Class::Line, (4, 6), "--workdir");
/// The words of the entry point; the image's own without any.
pub const ENTRYPOINT: Key = later("Entrypoint", Class::Array, (5, 0), "--entrypoint");
/// The arguments after the image; the image's own command without any. No argument may be empty or `;`.
pub const EXEC: Key = container("Exec", Class::Args);
/// The pull policy: a start with `never` fails immediately without the image.
pub const PULL: Key = later("Pull", Class::Line, (4, 6), "--pull");
/// Options of `podman run` in the form `--name=value`. Podman reads them after all others, so they override both keys and
/// the defaults of containers.conf(5).
pub const PODMAN_ARGS: Key = container("PodmanArgs", Class::Args);
/// `healthy`: a start is complete when the health check first succeeds. A 4.x generator reads the value as `no`.
pub const NOTIFY_HEALTHY: Key = container("Notify", Class::Line).since(5, 0, Before::Refusal);
/// The words of a health check, such as `CMD-SHELL` and a command for the container's `/bin/sh`. An array, because Podman
/// 5.0 to 5.8.1 strips double quotes from the end of a plain text (issue 28409).
pub const HEALTH_CMD: Key = later("HealthCmd", Class::Array, (4, 5), "--health-cmd");
/// The time between the end of a check and the next one, such as `30s`.
pub const HEALTH_INTERVAL: Key = later("HealthInterval", Class::Line, (4, 5), "--health-interval");
/// A check that takes longer has failed.
pub const HEALTH_TIMEOUT: Key = later("HealthTimeout", Class::Line, (4, 5), "--health-timeout");
/// Failures in a row that make the container unhealthy.
pub const HEALTH_RETRIES: Key = later("HealthRetries", Class::Line, (4, 5), "--health-retries");
/// Failures in it do not count.
pub const HEALTH_START_PERIOD: Key =
    later("HealthStartPeriod", Class::Line, (4, 5), "--health-start-period");
/// Seconds between the stop signal and SIGKILL.
pub const STOP_TIMEOUT: Key = later("StopTimeout", Class::Line, (5, 0), "--stop-timeout");

/// A variable of the podman process, not of the container. Quadlet sets `PODMAN_SYSTEMD_UNIT` after it.
pub const SERVICE_ENVIRONMENT: Key = Key::new("Service", "Environment", Class::Assignments);
/// `always`, `on-failure` or `no`.
pub const RESTART: Key = service("Restart");
/// Seconds before a restart.
pub const RESTART_SEC: Key = service("RestartSec");
/// Seconds that a start may take; 0 for no limit.
pub const TIMEOUT_START_SEC: Key = service("TimeoutStartSec");
/// Seconds that a stop may take. If this limit ended before [`STOP_TIMEOUT`], systemd would kill Podman and leave the
/// container behind.
pub const TIMEOUT_STOP_SEC: Key = service("TimeoutStopSec");
/// The memory limit. `Memory=` of `[Container]` exists only from 5.5 on, so one unit would have two forms, and the
/// container runs inside the unit's own control group (`--cgroups=split`), where the kernel enforces this limit on all of
/// it. It is visible in systemd, but not in `podman inspect`.
pub const MEMORY_MAX: Key = service("MemoryMax");
/// The limit on processor time, such as `150%` of one processor.
pub const CPU_QUOTA: Key = service("CPUQuota");

/// The target that pulls the unit in, such as `default.target`.
pub const WANTED_BY: Key = Key::new("Install", "WantedBy", Class::Verbatim);

/// `false`: the unit does not wait for the network to be online, as Podman makes it from 5.3 on.
pub const DEFAULT_DEPENDENCIES: Key =
    Key::new("Quadlet", "DefaultDependencies", Class::Verbatim).since(5, 3, Before::Nothing);
