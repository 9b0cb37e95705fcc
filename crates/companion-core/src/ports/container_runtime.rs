//! `ContainerRuntime`: who knows the containers. A fifth port, and one that almost only reads.
//!
//! It earns its place twice: starting a unit replaces whatever container has its name, so a
//! stranger's must be seen before; and a container whose unit vanished under it is left behind.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::PortResult;
use crate::model::companion::CompanionName;
use crate::model::unit::ContainerState;

/// Knows the containers of the host.
///
/// # Contract
/// - A container is ours when it carries our label with its own name.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ContainerRuntime: Send + Sync {
    /// Reads the container at each of `names`; the answer has an entry for every name.
    ///
    /// An entry is `Unavailable` without the container host, and `Transient` when the host did not answer
    /// in time. A container that cannot be read is the error of its name alone.
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ContainerState>>;

    /// Removes the container of `name`, if it is there and ours, by force.
    ///
    /// # Errors
    /// `Conflict` when the container there is not ours, else as the entries of
    /// [`observe`](Self::observe).
    async fn remove(&self, name: &CompanionName) -> PortResult<()>;
}
