//! What the text of a unit depends on besides the unit itself, and how all who write units come to know it.

use std::sync::{Arc, PoisonError, RwLock};

use quadlet::PodmanVersion;

/// What a host has that the text of a unit depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFacts {
    /// The version of Podman, whose generator reads the text.
    pub podman: PodmanVersion,
}

impl From<PodmanVersion> for HostFacts {
    fn from(podman: PodmanVersion) -> Self {
        Self { podman }
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
