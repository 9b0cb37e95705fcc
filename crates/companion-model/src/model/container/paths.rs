//! Paths of the host and of the container, and what is mounted where.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::names::VolumeName;
use crate::model::companion::InvalidValue;
use crate::model::text::validated_text;

validated_text! {
    /// An absolute path in normal form: no `.`, `..`, empty component or control character.
    ///
    /// At most 1024 bytes of UTF-8. Being normal, it names one place only, so two spellings of one
    /// path cannot pass for two paths.
    AbsolutePath, "path", "must be absolute, without `.`, `..`, `//`, a final `/` or control characters",
    |text| {
        text.len() <= 1024
            && !text.chars().any(char::is_control)
            && (text == "/"
                || text.strip_prefix('/').is_some_and(|rest| {
                    rest.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
                }))
    }
}

impl AbsolutePath {
    /// The root directory.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Returns the path of the entry `name` in this directory.
    ///
    /// # Errors
    /// [`InvalidValue`] when the name is not a single component, or the path becomes too long.
    pub fn join(&self, name: &str) -> Result<Self, InvalidValue> {
        if name.contains('/') {
            return Err(InvalidValue::new("path", name, "must be a single component"));
        }
        Self::new(format!("{}/{name}", self.0.trim_end_matches('/')))
    }

    /// Returns this path with `suffix`, which contains no `/`, appended to the file name.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }

    /// Returns the path for file system calls.
    pub fn as_path(&self) -> &Path {
        Path::new(self.as_str())
    }

    /// Returns the parent directory; `None` for the root.
    pub fn parent(&self) -> Option<&Path> {
        self.as_path().parent()
    }
}

/// A file or directory of the host inside the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BindMount {
    /// The path on the host.
    pub source: AbsolutePath,
    /// The path in the container.
    pub target: AbsolutePath,
    /// Whether the container may only read it; a companion's mounts always are.
    #[serde(default = "yes")]
    pub read_only: bool,
}

fn yes() -> bool {
    true
}

/// A volume of the engine inside the container. The engine creates it when it is missing, and keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NamedVolume {
    /// The name of the volume.
    pub name: VolumeName,
    /// The path in the container.
    pub target: AbsolutePath,
    /// Whether the container may only read it.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub read_only: bool,
}

/// A directory in memory inside the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tmpfs {
    /// The path in the container.
    pub target: AbsolutePath,
    /// The most it may hold; half of the host's memory, the kernel's default, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<super::Memory>,
}

/// A device of the host inside the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The device on the host, below `/dev`.
    pub source: AbsolutePath,
    /// The path in the container; the host's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<AbsolutePath>,
}

impl Device {
    /// Checks that the source lies below `/dev`.
    ///
    /// # Errors
    /// [`InvalidValue`] when it does not.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        let is_device = self.source.as_str().starts_with("/dev/");
        InvalidValue::unless(is_device, "devices", &self.source, "must lie below /dev")
    }
}
