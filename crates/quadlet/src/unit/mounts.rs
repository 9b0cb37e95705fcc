//! Mounts of a container.

/// A bind mount of a host path, or a named volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The source of the mount.
    pub source: VolumeSource,
    /// The absolute path in the container.
    pub destination: String,
    /// Whether the container cannot write to it.
    pub read_only: bool,
    /// How Podman relabels the content for SELinux.
    pub relabel: Option<Relabel>,
}

impl Volume {
    /// Creates a read-only bind mount of a host path.
    #[must_use]
    pub fn read_only(source: impl Into<String>, destination: impl Into<String>) -> Self {
        let (source, destination) = (VolumeSource::Path(source.into()), destination.into());
        Self { source, destination, read_only: true, relabel: None }
    }
}

/// The source of a [`Volume`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// An absolute path on the host. Before 5.8 Quadlet also writes it unquoted into `RequiresMountsFor=`, so a blank
    /// or quote in it loses the dependency on the underlying mount, and nothing else.
    Path(String),
    /// A volume that Podman manages under this name, and creates if missing.
    Named(String),
}

/// An SELinux label for the content of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relabel {
    /// Shared among containers (`z`).
    Shared,
    /// For this container alone (`Z`).
    Private,
}

/// A tmpfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// The absolute path in the container, without a colon.
    pub destination: String,
    /// The most that it holds, in MiB; the half of the memory if unset.
    pub size: Option<u64>,
}
