//! The `[Container]` section: the arguments of `podman run`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use super::{Environment, Tmpfs, Volume};

/// The `[Container]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// `Image=`: `registry/path:tag`, optionally with a digest, or a full image ID. No transport, no reference to a
    /// unit.
    pub image: String,
    /// `ContainerName=`: defaults to `systemd-` and the unit's name.
    pub container_name: Option<String>,
    /// `HostName=`: at most 64 bytes.
    pub host_name: Option<String>,
    /// `User=` and `Group=` inside the container.
    pub user: Option<User>,
    /// `Network=`, one each. Only named networks go together.
    pub networks: Vec<Network>,
    /// `PublishPort=`.
    pub publish_ports: Vec<PublishPort>,
    /// `AddHost=`: lines of the container's `/etc/hosts`.
    pub hosts: Vec<HostEntry>,
    /// `Volume=`, or `Mount=` if a path contains a colon.
    pub volumes: Vec<Volume>,
    /// `Tmpfs=`.
    pub tmpfs: Vec<Tmpfs>,
    /// `AddDevice=`.
    pub devices: Vec<Device>,
    /// `Environment=` of the container.
    pub environment: Environment,
    /// `Secret=`: secrets of Podman's store in variables of the container.
    pub secrets: Vec<Secret>,
    /// `Label=`.
    pub labels: BTreeMap<String, String>,
    /// `DropCapability=`, such as `ALL`.
    pub drop_capabilities: Vec<String>,
    /// `AddCapability=`, such as `CHOWN`; applied after dropping.
    pub add_capabilities: Vec<String>,
    /// `NoNewPrivileges=`.
    pub no_new_privileges: bool,
    /// `ReadOnly=`: a read-only root file system. Podman still mounts tmpfs at `/run`, `/tmp` and `/var/tmp`.
    pub read_only: bool,
    /// `WorkingDir=`: an absolute path.
    pub working_dir: Option<String>,
    /// `Entrypoint=`: the image's own if empty.
    pub entrypoint: Vec<String>,
    /// `Exec=`: the arguments after the image; the image's own command if empty. No argument may be empty or `;`.
    pub exec: Vec<String>,
    /// `Pull=`.
    pub pull: Option<Pull>,
    /// `PodmanArgs=`: options of `podman run` in the form `--name=value`. Podman reads them after all others, so they
    /// override both keys and the defaults of containers.conf(5).
    pub podman_args: Vec<String>,
}

impl Container {
    /// Creates the section for this image.
    #[must_use]
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

/// A secret of Podman's store in a variable of the container. The unit has its name and never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name in the store (`podman secret create`); a start fails without it.
    pub name: String,
    /// The variable.
    pub variable: String,
}

/// The user, and optionally the group, of the container's first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// A name or number.
    pub user: String,
    /// A name or number.
    pub group: Option<String>,
}

impl User {
    /// Sets user and group by number; `0` and `0` is root inside the container.
    #[must_use]
    pub fn ids(user: u32, group: u32) -> Self {
        Self { user: user.to_string(), group: Some(group.to_string()) }
    }
}

/// The host's loopback as a container in [`Network::HostLoopback`] sees it: the address that Podman from 5.3 on has in
/// its `/etc/hosts` as `host.containers.internal`.
pub const HOST_LOOPBACK: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);

/// A network that the container joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The host's network.
    Host,
    /// Podman's default bridge.
    Bridge,
    /// A network of the container's own in which [`HOST_LOOPBACK`] is the host's loopback, whatever interfaces the
    /// host has and gets. Rootless and IPv4 only.
    HostLoopback,
    /// Only loopback.
    None,
    /// An existing network with this name.
    Named(String),
}

/// The protocol of a published port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A container port published on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishPort {
    /// The host's address; all addresses if unset.
    pub host_ip: Option<IpAddr>,
    /// The host's port, 1 to 65535; chosen by Podman if unset.
    pub host_port: Option<u16>,
    /// The container's port, 1 to 65535.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl PublishPort {
    /// Publishes a TCP port on all addresses of the host.
    #[must_use]
    pub fn tcp(host_port: u16, container_port: u16) -> Self {
        Self { host_ip: None, host_port: Some(host_port), container_port, protocol: Protocol::Tcp }
    }
}

/// A line of the container's `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// The host name.
    pub name: String,
    /// Its address.
    pub address: HostAddress,
}

/// An address in `/etc/hosts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAddress {
    /// A fixed address.
    Ip(IpAddr),
    /// The address of the host as the container sees it (`host-gateway`).
    HostGateway,
}

/// A host device in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The path on the host.
    pub host: String,
    /// The path in the container; the same if unset.
    pub container: Option<String>,
    /// Letters of `rwm`, each once; all three if unset.
    pub permissions: Option<String>,
    /// Omits the device if it was missing when the generator ran.
    pub optional: bool,
}

impl Device {
    /// Passes a device under its own path, with all permissions.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), container: None, permissions: None, optional: false }
    }
}

/// The pull policy at a container's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Always.
    Always,
    /// Only if it is missing.
    Missing,
    /// Never: a start without the image fails immediately.
    Never,
    /// If the registry has a newer one.
    Newer,
}
