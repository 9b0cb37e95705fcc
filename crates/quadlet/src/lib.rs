//! Typed Quadlet `.container` units, rendered to text for Podman 4.4 and newer.
//!
//! Quadlet is Podman's systemd generator: it converts a `.container` file to a `.service` whose `ExecStart=` is a
//! `podman run`. Three parsers read the rendered text in sequence: Quadlet's line and word splitter, which differs by
//! key and by Podman version; systemd's parser of the generated service; and systemd's expansion of `%` and `$`. This
//! crate escapes each value so that the final command is the requested one, and rejects values that cannot be escaped
//! with a [`RenderError`]. It never reads or writes a file, and never detects the installed Podman: the caller passes
//! the [`PodmanVersion`].
//!
//! In reading order:
//!
//! | module | decides |
//! |---|---|
//! | `unit` | the available settings: [`ContainerUnit`] and its sections |
//! | `version` | the target Podman of a text: [`PodmanVersion`] |
//! | `keys` | each key's escaping class, first version, and replacement before it |
//! | `escape` | one escaping rule for each class |
//! | `names` | which names, paths and image references Quadlet and Podman accept as such |
//! | `render` | the order of sections and lines: [`ContainerUnit::render`] |
//! | `extension` | the reverse direction: [`extension_value`] reads an extension value from any file |
//!
//! ```
//! use quadlet::{Container, ContainerUnit, Network, PodmanVersion};
//!
//! let mut unit = ContainerUnit::new(Container::new("localhost/bitcoin-ui:latest"));
//! unit.container.network = Some(Network::Host);
//! unit.wanted_by = Some("default.target".into());
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
pub use unit::{
    Container, ContainerUnit, Device, Environment, Extension, HOST_LOOPBACK, HealthCheck,
    HostEntry, Network, Protocol, PublishPort, Relabel, RestartPolicy, Secret, Service, Start,
    Stop, Tmpfs, Unit, User, Volume, VolumeSource,
};
pub use version::{PodmanVersion, VersionError};
