//! The container specification, independent of Quadlet, Podman and Docker.
//!
//! Cross-field rules are in [`ContainerSpec::validate`]; the rule of each field is in its type.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::companion::InvalidValue;

mod health;
mod limits;
mod names;
mod paths;

pub use health::{Endpoint, HealthCheck, HttpUrl, Probe};
pub use limits::{CpuQuota, Memory};
pub use names::{Capability, EnvName, ExtraHost, HostName, NetworkName, SecretName, VolumeName};
pub use paths::{AbsolutePath, BindMount, Device, NamedVolume, Tmpfs};

/// The maximum size of a container specification, in bytes of JSON.
pub const SIZE_LIMIT: usize = 256 * 1024;

/// The host's loopback inside a container with [`ContainerSpec::host_loopback`].
pub const HOST_LOOPBACK: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);

/// The network a container is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The host's own network: the container's ports are the host's.
    Host,
    /// A separate network, reached through published ports.
    #[default]
    Bridge,
    /// A named network that the host already has.
    Named(NetworkName),
}

/// The transport protocol of a published port.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A port of the container that the host publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PortMapping {
    /// The host's address that listens; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The host's port, 1 to 65535.
    pub host: std::num::NonZeroU16,
    /// The container's port, 1 to 65535.
    pub container: std::num::NonZeroU16,
    /// TCP unless said otherwise.
    #[serde(default)]
    pub protocol: Protocol,
}

/// The user and group that the container's first process has, inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContainerUser {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

/// When the service manager starts a container again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Whenever it ends.
    #[default]
    Always,
    /// When it ends with an error.
    OnFailure,
    /// Never.
    No,
}

/// How a container is run.
///
/// An empty list, `false` and `None` say nothing and render nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// The network.
    #[serde(default)]
    pub network: Network,
    /// Whether a container with a bridge network reaches the host's loopback, at [`HOST_LOOPBACK`].
    ///
    /// For a page whose backend is on the host: the address holds whatever interfaces the host has and gets, while the
    /// host's own addresses, as a bridge sees them, are those of the moment at which the first bridge was made. The
    /// container then has a separate IPv4 network, and its ports are published on the host's IPv4 addresses.
    #[serde(default, skip_serializing_if = "is_false")]
    pub host_loopback: bool,
    /// Published ports; only a container with a separate network has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
    /// Files and directories of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<BindMount>,
    /// Volumes of the engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<NamedVolume>,
    /// Directories in memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<Tmpfs>,
    /// Environment of the container's first process. Not for secrets: a unit can be read by others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<EnvName, String>,
    /// Variables whose values are secrets of the engine's store. The unit has the names alone, and a start fails while one
    /// is missing. A changed secret takes effect at the next start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_environment: BTreeMap<EnvName, SecretName>,
    /// User and group inside the container; the image's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<ContainerUser>,
    /// The most memory the whole service may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The most processor time the whole service may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<CpuQuota>,
    /// Whether all capabilities are dropped before `capabilities` are added.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drop_all_capabilities: bool,
    /// Capabilities that are added.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub capabilities: BTreeSet<Capability>,
    /// Whether processes are kept from gaining privileges by set-uid programs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// Whether the container's root file system is read-only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only_root: bool,
    /// Devices of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Names that resolve to given addresses inside the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<ExtraHost>,
    /// The program that replaces the image's entrypoint, with its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The arguments that replace the image's command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The directory that its first process starts in; the image's own when absent.
    ///
    /// Podman before 5.7.1 makes the image's own where it is missing, and follows a link of the image's out of the
    /// container (GHSA-q6r4-3wmg-fwcq): an image that is not trusted is given one that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<AbsolutePath>,
    /// When the service manager restarts it.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Seconds between the end and the next start; the host's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_delay: Option<u32>,
    /// Seconds a stop may take before the container is killed; the host's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<u32>,
    /// What has to succeed before the start is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl ContainerSpec {
    /// Checks cross-field rules and size limits.
    ///
    /// # Errors
    /// [`InvalidValue`] naming the first field that breaks a rule.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        let may_publish = self.network != Network::Host || self.ports.is_empty();
        let rule = "cannot be published by a container in the host's network";
        InvalidValue::unless(may_publish, "ports", self.ports.len(), rule)?;
        if self.host_loopback {
            let holds = |holds, rule| InvalidValue::unless(holds, "host_loopback", true, rule);
            let is_v4 = |port: &PortMapping| port.address.is_none_or(|it| it.is_ipv4());
            holds(self.network == Network::Bridge, "is a setting of the bridge network")?;
            let rule = "cannot go with a port that is published on an IPv6 address";
            holds(self.ports.iter().all(is_v4), rule)?;
        }
        let size = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        let rule = "bytes are more than 256 KiB";
        InvalidValue::unless(size <= SIZE_LIMIT, "container", size, rule)?;
        self.validate_words()?;
        self.devices.iter().try_for_each(Device::validate)?;
        for name in self.secret_environment.keys() {
            let is_new = !self.environment.contains_key(name);
            let rule = "is also in the environment";
            InvalidValue::unless(is_new, "secret_environment", name, rule)?;
        }
        self.health.as_ref().map_or(Ok(()), HealthCheck::validate)?;
        let mut targets = BTreeSet::new();
        let mount_targets = self.mounts.iter().map(|mount| &mount.target);
        let volume_targets = self.volumes.iter().map(|volume| &volume.target);
        let tmpfs_targets = self.tmpfs.iter().map(|tmpfs| &tmpfs.target);
        for target in mount_targets.chain(volume_targets).chain(tmpfs_targets) {
            let rule = "is used as a mount target twice";
            InvalidValue::unless(targets.insert(target), "mounts", target, rule)?;
        }
        let mut published = BTreeSet::new();
        for port in &self.ports {
            let is_new = published.insert((port.address, port.host, port.protocol));
            InvalidValue::unless(is_new, "ports", port.host, "is published twice")?;
        }
        Ok(())
    }

    fn validate_words(&self) -> Result<(), InvalidValue> {
        for (field, words) in [("entrypoint", &self.entrypoint), ("command", &self.command)] {
            for word in words {
                let fits = !word.is_empty() && !word.contains('\0');
                InvalidValue::unless(fits, field, word, "must not be empty or contain NUL")?;
            }
        }
        match self.environment.values().any(|value| value.contains('\0')) {
            true => Err(InvalidValue::unshown("environment", "must not contain NUL")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
