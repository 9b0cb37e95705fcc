//! The settings of a `.container` unit, section by section; rendering escapes and validates the values.
//!
//! Empty, unset or false settings render nothing, so adding a setting here does not change units without it.

use std::collections::BTreeMap;

mod container;
mod limits;
mod mounts;
mod service;

pub use container::{
    Container, Device, HOST_LOOPBACK, HostEntry, Network, Protocol, PublishPort, Secret, User,
};
pub use limits::{HealthCheck, Start, Stop};
pub use mounts::{Relabel, Tmpfs, Volume, VolumeSource};
pub use service::{Environment, RestartPolicy, Service, Unit};

/// A `.container` unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUnit {
    /// `[Unit]`: description, mounts and start limit.
    pub unit: Unit,
    /// `[Container]`: what `podman run` gets.
    pub container: Container,
    /// `[Service]`: how systemd supervises it.
    pub service: Service,
    /// `WantedBy=` of `[Install]`: the target that pulls it in, such as `default.target`.
    pub wanted_by: Option<String>,
    /// When a start is complete, and its limit; in `[Container]` and `[Service]`.
    pub start: Start,
    /// How long a stop may take, in `[Container]` and `[Service]`; the defaults of Podman and systemd if unset.
    pub stop: Option<Stop>,
    /// `DefaultDependencies=false` of `[Quadlet]`: the unit does not wait for the network to be online, as Podman
    /// makes it from 5.3 on. Rendered from 5.3 on, and omitted before, where there is nothing to disable.
    pub starts_without_network: bool,
    /// An `[X-…]` section, which Quadlet copies and systemd ignores.
    pub extension: Option<Extension>,
}

impl ContainerUnit {
    /// Creates a unit with this container and no other settings.
    #[must_use]
    pub fn new(container: Container) -> Self {
        Self {
            unit: Unit::default(),
            container,
            service: Service::default(),
            wanted_by: None,
            start: Start::default(),
            stop: None,
            starts_without_network: false,
            extension: None,
        }
    }
}

/// An `[X-Name]` section with custom keys; see [`extension_value`](crate::extension_value).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The name without `X-`: letters, digits and `-`. The names of Quadlet's own sections are rejected, because the
    /// generator renames those to `X-…`.
    pub name: String,
    /// Keys (letters, digits and `-`) and their values. Values are written unchanged, without quotes or doubling.
    pub entries: BTreeMap<String, String>,
}

impl Extension {
    /// Creates a section without keys, which renders nothing.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), entries: BTreeMap::new() }
    }

    /// Adds a key, or replaces its value.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.entries.insert(key.into(), value.into());
        self
    }
}
