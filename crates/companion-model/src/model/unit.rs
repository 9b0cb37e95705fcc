//! Units: the typed value rendered to a unit file, the state of that file, and of the container.

use super::companion::CompanionName;
use super::container::{AbsolutePath, ContainerSpec};
use super::image::ImageId;
use super::revision::{Fingerprint, Revision};

/// The contents of a unit file, independent of any adapter's format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitSpec {
    /// The companion; also the name of the unit and the container.
    pub name: CompanionName,
    /// `Description=`, one line.
    pub description: String,
    /// The image id: a tag could point to another image at the next start.
    pub image: ImageId,
    /// The container specification.
    pub container: ContainerSpec,
    /// The rendered file, which no other program reads; usually the source of a mount.
    pub config: Option<AbsolutePath>,
    /// The desired revision.
    pub revision: Revision,
}

/// The unit file at a companion's name in the unit store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnitFileState {
    /// No file.
    Absent,
    /// A managed unit with the expected bytes.
    Current {
        /// Its revision: the expected one, with the restart epoch of the file.
        revision: Revision,
    },
    /// A managed unit with the expected bytes that is writable by others.
    WrongMode {
        /// As in `Current`.
        revision: Revision,
    },
    /// A managed unit with other bytes that was not modified outside companion: the store wrote it for another
    /// specification, or rendered the same one differently.
    ///
    /// A unit without a rendering digest, written by an older release, counts as outdated too: modification
    /// cannot be detected.
    Outdated {
        /// Its revision.
        revision: Revision,
    },
    /// A managed unit with bytes that the store did not write.
    Drifted {
        /// The revision that it reports, if readable.
        revision: Option<Revision>,
    },
    /// An object without the ownership label: it is never changed.
    Unmanaged {
        /// A description for people.
        what: String,
    },
}

impl UnitFileState {
    /// Returns the revision of the file, if it is managed and readable.
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::Current { revision }
            | Self::WrongMode { revision }
            | Self::Outdated { revision }
            | Self::Drifted { revision: Some(revision) } => Some(*revision),
            Self::Absent | Self::Drifted { revision: None } | Self::Unmanaged { .. } => None,
        }
    }
}

/// A unit file in the store, and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// The state of the file.
    pub state: UnitFileState,
    /// Its path, for messages.
    pub location: String,
    /// The rendering digest of the expected unit, independent of the file. `None` if no unit is expected or the
    /// store cannot render it.
    pub rendering: Option<Fingerprint>,
    /// The paths of the unit's drop-ins in the store; the service manager may have loaded the unit without
    /// them.
    pub drop_ins: Vec<String>,
}

/// The container at a companion's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ContainerState {
    /// No container.
    Absent,
    /// A managed container.
    Ours {
        /// Podman's state: `running`, `exited`, `created`, `paused` …
        status: String,
    },
    /// An unmanaged container: starting the unit would replace it.
    Unmanaged {
        /// A description for people, which names the unit that started it.
        what: String,
    },
}
