//! The `[Container]` section: the arguments of `podman run`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
};

use super::{Environment, Tmpfs, Volume};

/// The `[Container]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// `Image=`: a full image ID, or a reference such as `registry/path:tag`. No transport, no reference to a unit.
    pub image: String,
    /// `ContainerName=`: defaults to `systemd-` and the unit's name.
    pub container_name: Option<String>,
    /// `User=` and `Group=` inside the container.
    pub user: Option<User>,
    /// `Network=`.
    pub network: Option<Network>,
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
    /// `Pull=never`: a start without the image fails immediately.
    pub never_pulls: bool,
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

/// The user and the group of the container's first process, by number; `0` and `0` is root inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
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
}

/// A container port published on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishPort {
    /// The host's address; all addresses if unset.
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub host_port: NonZeroU16,
    /// The container's port.
    pub container_port: NonZeroU16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A line of the container's `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// The host name.
    pub name: String,
    /// Its address; that of the host as the container sees it (`host-gateway`) if unset.
    pub address: Option<IpAddr>,
}

/// A host device in the container, with all permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The path on the host.
    pub host: String,
    /// The path in the container; the same if unset.
    pub container: Option<String>,
}
