//! The settings of a `.container` unit, section by section; rendering escapes and validates the values.
//!
//! Empty, unset or false settings render nothing, so adding a setting here does not change units without it.

mod container;
mod limits;
mod mounts;
mod service;

pub use container::{
    Container, Device, HOST_LOOPBACK, HostAddress, HostEntry, Network, Protocol, PublishPort, Pull,
    Secret, User,
};
pub use limits::{HealthCheck, Start, Stop};
pub use mounts::{Relabel, Tmpfs, Volume, VolumeSource};
pub use service::{Environment, Install, Quadlet, RestartPolicy, Service, Unit};

/// A `.container` unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUnit {
    /// `[Unit]`: description, ordering and start limits.
    pub unit: Unit,
    /// `[Container]`: what `podman run` gets.
    pub container: Container,
    /// `[Service]`: how systemd supervises it.
    pub service: Service,
    /// `[Install]`: which targets pull it in.
    pub install: Install,
    /// When a start is complete, and its limit; in `[Container]` and `[Service]`.
    pub start: Start,
    /// How long a stop may take, in `[Container]` and `[Service]`; the defaults of Podman and systemd if unset.
    pub stop: Option<Stop>,
    /// `[Quadlet]`: the generator's own additions.
    pub quadlet: Quadlet,
    /// `[X-…]` sections, which Quadlet copies and systemd ignores, in the order given.
    pub extensions: Vec<Extension>,
}

impl ContainerUnit {
    /// Creates a unit with this container and no other settings.
    #[must_use]
    pub fn new(container: Container) -> Self {
        Self {
            unit: Unit::default(),
            container,
            service: Service::default(),
            start: Start::default(),
            stop: None,
            install: Install::default(),
            quadlet: Quadlet::default(),
            extensions: Vec::new(),
        }
    }
}

/// An `[X-Name]` section with custom keys; see [`extension_value`](crate::extension_value).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The name without `X-`: letters, digits and `-`. The names of Quadlet's own sections are rejected, because the
    /// generator renames those to `X-…`.
    pub name: String,
    /// Keys (letters, digits and `-`, unique) and their values, in the order given. Values are written unchanged,
    /// without quotes or doubling.
    pub entries: Vec<(String, String)>,
}

impl Extension {
    /// Creates a section without keys, which renders nothing.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), entries: Vec::new() }
    }

    /// Adds a key.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.entries.push((key.into(), value.into()));
        self
    }
}
