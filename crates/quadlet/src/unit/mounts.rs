//! What is mounted into the container. Decides no spelling.

/// A bind mount of a host path, or a named volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// What is mounted.
    pub source: VolumeSource,
    /// The absolute path in the container.
    pub destination: String,
    /// The container cannot write to it.
    pub read_only: bool,
    /// Whether Podman gives the content an SELinux label.
    pub relabel: Option<Relabel>,
}

impl Volume {
    /// Binds a host path that the container can only read.
    #[must_use]
    pub fn read_only(source: impl Into<String>, destination: impl Into<String>) -> Self {
        Self {
            source: VolumeSource::Path(source.into()),
            destination: destination.into(),
            read_only: true,
            relabel: None,
        }
    }
}

/// What a [`Volume`] mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// An absolute path on the host. Before 5.8 Quadlet writes it unquoted into `RequiresMountsFor=` too, so that a blank or quote in it
    /// costs the dependency on the mount beneath, and nothing else.
    Path(String),
    /// A volume that Podman keeps under this name, and makes if it is absent.
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

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// The absolute path in the container, without a colon.
    pub destination: String,
    /// Mount options such as `size=64m` or `noexec`: letters, digits, `=`, `%`, `.`, `_` and `-`.
    pub options: Vec<String>,
}

impl Tmpfs {
    /// Mounts a tmpfs with Podman's own options.
    #[must_use]
    pub fn new(destination: impl Into<String>) -> Self {
        Self { destination: destination.into(), options: Vec::new() }
    }
}
