//! Typed Quadlet `.container` units, rendered to text for Podman 4.4 and newer.
//!
//! Quadlet is Podman's systemd generator: it turns a `.container` file into a `.service` whose `ExecStart=` is a `podman run`.
//! Three parsers read what is written here, one after the other: Quadlet's line and word splitter, which differs by key and by
//! Podman version; systemd's own, which reads the generated service; and systemd's expansion of `%` and `$`. This crate
//! decides how each value has to be spelt so that the command in the end is the one that was asked for, and it refuses with
//! a [`RenderError`] whatever no spelling can say. It never reads or writes a file, and never asks which Podman is there: the
//! caller names the [`PodmanVersion`].
//!
//! In reading order:
//!
//! | module | decides |
//! |---|---|
//! | `unit` | what can be asked for: [`ContainerUnit`] and its sections |
//! | `version` | which Podman a text is for: [`PodmanVersion`] |
//! | `keys` | which key has which escaping class, since which version, and what stands in for it before |
//! | `escape` | one spelling rule for each class |
//! | `names` | which names, paths and image references are taken as such by Quadlet and Podman |
//! | `render` | the order of sections and lines: [`ContainerUnit::render`] |
//! | `extension` | the way back: [`extension_value`] reads a mark of ours from any file |
//!
//! ```
//! use quadlet::{Container, ContainerUnit, Network, PodmanVersion};
//!
//! let mut unit = ContainerUnit::new(Container::new("localhost/bitcoin-ui:latest"));
//! unit.container.networks.push(Network::Host);
//! unit.install.wanted_by.push("default.target".into());
//! let text = unit.render(PodmanVersion::new(5, 4, 2))?;
//! assert!(text.contains("Network=host\n"));
//! # Ok::<(), quadlet::RenderError>(())
//! ```

mod error;
mod escape;
mod extension;
mod keys;
mod names;
mod render;
mod unit;
mod version;

pub use error::{Excerpt, Refusal, RenderError};
pub use extension::extension_value;
pub use names::UnitName;
pub use unit::{
    Container, ContainerUnit, Device, Environment, Extension, HostAddress, HostEntry, Install,
    Network, Protocol, PublishPort, Pull, Quadlet, Relabel, RestartPolicy, Service, Tmpfs, Unit,
    User, Volume, VolumeSource,
};
pub use version::{PodmanVersion, VersionError};
