//! Quadlet `.container` units as keys and values, rendered to text for Podman 4.4 and newer.
//!
//! Quadlet is Podman's systemd generator: it converts a `.container` file to a `.service` whose `ExecStart=` is a
//! `podman run`. Three parsers read the rendered text in sequence: Quadlet's line and word splitter, which differs by
//! key and by Podman version; systemd's parser of the generated service; and systemd's expansion of `%` and `$`. This
//! crate escapes each value so that the final command is the requested one, and rejects values that cannot be escaped
//! with a [`RenderError`]. It never reads or writes a file, and never detects the installed Podman: the caller passes
//! the [`PodmanVersion`], and knows what a value may be, such as a path.
//!
//! In reading order:
//!
//! | module | decides |
//! |---|---|
//! | `unit` | [`ContainerUnit`]: its settings, and the order of sections and lines |
//! | [`key`] | each key's escaping class, first version, and replacement before it |
//! | `escape` | one escaping rule for each class |
//! | `version` | the target Podman of a text: [`PodmanVersion`] |
//! | `extension` | the reverse direction: [`extension_value`] reads an extension value from any file |
//!
//! ```
//! use quadlet::{ContainerUnit, PodmanVersion, key};
//!
//! let mut unit = ContainerUnit::new();
//! unit.add(key::IMAGE, "localhost/bitcoin-ui:latest");
//! unit.add(key::NETWORK, "host");
//! unit.add_pair(key::LABEL, "share", "100%");
//! unit.add(key::WANTED_BY, "default.target");
//! let text = unit.render(PodmanVersion::new(5, 4, 2))?;
//! assert!(text.contains("Network=host\nLabel=\"share=100%%\"\n"));
//! # Ok::<(), quadlet::RenderError>(())
//! ```

mod error;
mod escape;
mod extension;
pub mod key;
mod unit;
mod version;

pub use error::RenderError;
pub use extension::extension_value;
pub use key::{Class, Key};
pub use unit::{ContainerUnit, Setting};
pub use version::{PodmanVersion, VersionError};
