//! What a `.container` unit can ask for, section by section; decides no spelling and judges no value: that is done when the
//! unit is rendered.
//!
//! What is empty, unset or false renders nothing, so that a unit which does not use a setting keeps its bytes when the setting is
//! added here.

mod container;
mod mounts;
mod service;

pub use container::{
    Container, Device, HostAddress, HostEntry, Network, Protocol, PublishPort, Pull, User,
};
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
    /// `[Quadlet]`: what the generator adds by itself.
    pub quadlet: Quadlet,
    /// `[X-…]` sections, which Quadlet copies and systemd ignores, in the order given.
    pub extensions: Vec<Extension>,
}

impl ContainerUnit {
    /// Makes a unit that asks for nothing but this container.
    #[must_use]
    pub fn new(container: Container) -> Self {
        Self {
            unit: Unit::default(),
            container,
            service: Service::default(),
            install: Install::default(),
            quadlet: Quadlet::default(),
            extensions: Vec::new(),
        }
    }
}

/// An `[X-Name]` section of keys that nobody but its author reads; see [`extension_value`](crate::extension_value).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The name without `X-`: letters, digits and `-`. The names of Quadlet's own sections are refused, because the generator
    /// renames those to `X-…`.
    pub name: String,
    /// Keys (letters, digits and `-`, each once) and their values, in the order given. A value stands as it is: no quotes, no
    /// doubling.
    pub entries: Vec<(String, String)>,
}

impl Extension {
    /// Makes a section without keys, which renders nothing.
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
