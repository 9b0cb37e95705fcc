//! `ContainerRuntime`: reads and removes containers.
//!
//! It has two uses: the start of a unit replaces any container of its name, so an unmanaged one must be
//! detected first; and a container whose unit was deleted stays behind.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::PortResult;
use crate::model::companion::CompanionName;
use crate::model::unit::ContainerState;

/// Reads and removes containers of the host.
///
/// # Contract
/// - A container is managed when it has the ownership label with its own name.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ContainerRuntime: Send + Sync {
    /// Reads the container at each of `names`; returns an entry for every name.
    ///
    /// An entry is `Unavailable` if the container runtime is missing, and `Transient` on a timeout. The failure
    /// of one entry does not affect the others.
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ContainerState>>;

    /// Force-removes the container of `name`, if it exists and is managed.
    ///
    /// # Errors
    /// `Conflict` when the container is unmanaged, else as the entries of [`observe`](Self::observe).
    async fn remove(&self, name: &CompanionName) -> PortResult<()>;
}
