//! The ports: the interfaces to a host. Each has reads and writes.
//!
//! Rules that hold for all of them:
//!
//! - Reads change nothing, and a failed read is an error. Absence is a value, never an error.
//! - A read of several companions returns one entry for every name. The failure of one entry does not affect
//!   the others.
//! - Writes are idempotent: repeating one succeeds and changes nothing.
//! - Every call returns in bounded time; the adapter sets the limit.
//! - A call may be cancelled. Its effect is then either complete or absent.
//! - Errors are classified by what the caller can do, and never contain a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::error_chain::chain;
use crate::model::companion::CompanionName;
pub use crate::model::error::{PortErrorKind, Problem};
use crate::model::host::HostTraits;

pub mod container_runtime;
pub mod desired_store;
pub mod hook_runner;
pub mod image_provider;
pub mod leadership;
pub mod service_manager;
pub mod unit_store;

pub use container_runtime::ContainerRuntime;
pub use desired_store::DesiredStore;
pub use hook_runner::HookRunner;
pub use image_provider::ImageProvider;
pub use leadership::{Acquired, Leadership, Lease};
pub use service_manager::{Job, ServiceManager};
pub use unit_store::UnitStore;

/// A port error: its kind, a message, and the adapter's error as its source.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    kind: PortErrorKind,
    message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl From<&PortError> for Problem {
    fn from(error: &PortError) -> Self {
        Self::new(error.kind(), error.chain())
    }
}

/// The result of a port call.
pub type PortResult<T> = Result<T, PortError>;

impl PortError {
    /// Returns an error of `kind`; `message` names the companion or file and contains no secret.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the source error.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(Arc::from(source.into())), ..self }
    }

    /// Returns the kind.
    pub fn kind(&self) -> PortErrorKind {
        self.kind
    }

    /// Returns this error for each of `names`, for a call that failed as a whole.
    pub fn for_each<'n, T>(
        self,
        names: impl IntoIterator<Item = &'n CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<T>> {
        names.into_iter().map(|name| (name.clone(), Err(self.clone()))).collect()
    }

    /// Returns the message and all sources in one line, joined by `: `.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// A host: an implementation of every port.
#[derive(Clone)]
pub struct Host {
    /// Stores unit files.
    pub units: Arc<dyn UnitStore>,
    /// Runs services.
    pub services: Arc<dyn ServiceManager>,
    /// Provides images.
    pub images: Arc<dyn ImageProvider>,
    /// Renders configuration.
    pub hooks: Arc<dyn HookRunner>,
    /// Reads and removes containers.
    pub containers: Arc<dyn ContainerRuntime>,
    /// Loads the desired state.
    pub desired: Arc<dyn DesiredStore>,
    /// Elects one leader per host.
    pub leadership: Arc<dyn Leadership>,
    /// Its optional abilities.
    pub traits: HostTraits,
}

impl Host {
    /// Waits until a port reports that the host may have changed since this last returned; returns the hints of all
    /// ports that have one.
    ///
    /// A dropped call loses no hint.
    pub async fn changed(&self) -> Hint {
        let mut ports = [
            self.units.changed(),
            self.services.changed(),
            self.hooks.changed(),
            self.images.changed(),
        ];
        poll_fn(|context| {
            let ready = ports.iter_mut().filter_map(|port| match port.as_mut().poll(context) {
                Poll::Ready(hint) => Some(hint),
                Poll::Pending => None,
            });
            let merged = ready.reduce(|mut hints, hint| {
                hints.merge(hint);
                hints
            });
            merged.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Which companions may have changed on the host since the last hint of the port. A port that lost events, or does not know
/// whom they concern, reports [`All`](Self::All).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// These; not necessarily desired ones.
    Companions(BTreeSet<CompanionName>),
    /// Any of them.
    All,
}

impl Hint {
    /// The hint that no companion changed.
    pub const NONE: Self = Self::Companions(BTreeSet::new());

    /// Adds what `other` reports.
    pub fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::All, _) => {}
            (Self::Companions(names), Self::Companions(others)) => names.extend(others),
            (this, Self::All) => *this = Self::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_error_chain_is_one_line_in_the_order_of_causes() {
        let cause = PortError::new(PortErrorKind::Transient, "the bus hung up");
        let error = PortError::new(PortErrorKind::Transient, "failed to reload").with_source(cause);
        assert_eq!(chain(&error), "failed to reload: the bus hung up");
        assert_eq!(error.chain(), chain(&error));
    }
}
