//! What the text of a unit depends on besides the unit itself, and how all who write units come to know it.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use quadlet::PodmanVersion;

/// What a host has that the text of a unit depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFacts {
    /// The version of Podman, whose generator reads the text.
    pub podman: PodmanVersion,
    /// Whether the kernel enforces SELinux, so that mounts have to be relabelled.
    pub enforces_selinux: bool,
}

/// Where the kernel says whether it enforces SELinux; there is no such file where it has none.
const ENFORCE: &str = "/sys/fs/selinux/enforce";

impl HostFacts {
    /// The facts of this host, whose Podman is of version `podman`. It reads one file of the kernel, which does not block.
    ///
    /// # Errors
    /// When that file is there and cannot be read.
    pub fn of_host(podman: PodmanVersion) -> io::Result<Self> {
        Ok(Self { podman, enforces_selinux: enforces(Path::new(ENFORCE))? })
    }
}

impl From<PodmanVersion> for HostFacts {
    /// The facts of a host that does not enforce SELinux.
    fn from(podman: PodmanVersion) -> Self {
        Self { podman, enforces_selinux: false }
    }
}

fn enforces(file: &Path) -> io::Result<bool> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim() == "1"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The facts that all clones of a [`QuadletDir`](crate::QuadletDir) share.
#[derive(Debug, Clone)]
pub(crate) struct SharedFacts(Arc<RwLock<HostFacts>>);

impl SharedFacts {
    pub(crate) fn new(facts: HostFacts) -> Self {
        Self(Arc::new(RwLock::new(facts)))
    }

    pub(crate) fn get(&self) -> HostFacts {
        // A plain value: whoever panicked with the lock held left one or the other.
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, facts: HostFacts) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = facts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_enforces_what_its_file_says_and_nothing_without_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("enforce");
        assert!(!enforces(&file).unwrap(), "no SELinux");
        for (text, enforced) in [("1", true), ("1\n", true), ("0", false), ("", false)] {
            fs::write(&file, text).unwrap();
            assert_eq!(enforces(&file).unwrap(), enforced, "{text:?}");
        }
        assert!(enforces(dir.path()).is_err(), "what cannot be read is not known");
    }
}
