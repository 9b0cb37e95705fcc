//! Host facts that a unit's text depends on, shared by all writers of units.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use quadlet::PodmanVersion;

/// Host facts that a unit's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFacts {
    /// The version of Podman, whose generator reads the text.
    pub podman: PodmanVersion,
    /// Whether the kernel enforces SELinux, so that mounts need relabelling.
    pub enforces_selinux: bool,
}

/// The kernel's SELinux enforcement flag; missing on a kernel without SELinux.
const ENFORCE: &str = "/sys/fs/selinux/enforce";

impl HostFacts {
    /// Returns the facts of this host with Podman `podman`. Reads one kernel file, which does not block.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn of_host(podman: PodmanVersion) -> io::Result<Self> {
        Ok(Self { podman, enforces_selinux: enforces(Path::new(ENFORCE))? })
    }
}

impl From<PodmanVersion> for HostFacts {
    /// Returns the facts of a host that does not enforce SELinux.
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

/// The facts, shared by all clones of a [`QuadletDir`](crate::QuadletDir).
#[derive(Debug, Clone)]
pub(crate) struct SharedFacts(Arc<RwLock<HostFacts>>);

impl SharedFacts {
    pub(crate) fn new(facts: HostFacts) -> Self {
        Self(Arc::new(RwLock::new(facts)))
    }

    pub(crate) fn get(&self) -> HostFacts {
        // A panic with the lock held leaves the old or the new value.
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
    fn selinux_enforcement_follows_the_kernels_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("enforce");
        assert!(!enforces(&file).unwrap(), "no SELinux");
        for (text, enforced) in [("1", true), ("1\n", true), ("0", false), ("", false)] {
            fs::write(&file, text).unwrap();
            assert_eq!(enforces(&file).unwrap(), enforced, "{text:?}");
        }
        assert!(enforces(dir.path()).is_err(), "an unreadable flag is an error");
    }
}
