//! The ports: what the core asks of a host, in a reading half and an acting half each.
//!
//! Rules that hold for all of them:
//!
//! - Reads change nothing, and a read that fails says so: absence is an answer, never an error.
//! - A read about several companions answers for each of them: its result has an entry for every name, and a
//!   name that cannot be read is an error of its own, which hides no other.
//! - Acts are idempotent: doing again what was done is a success and changes nothing.
//! - Every call ends in bounded time, by the adapter's own limits.
//! - A call may be dropped half-way. Whatever it had begun is then either whole or absent.
//! - Errors are told apart by what the caller can do, and never hold a secret.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::model::companion::CompanionName;

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
pub use leadership::{Acquired, Held, Leadership, Lease};
pub use service_manager::{Job, ServiceManager};
pub use unit_store::UnitStore;

/// What the caller of a port can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortErrorKind {
    /// Try again: a connection broke, a time limit passed, a resource was short.
    Transient,
    /// What was named does not exist.
    NotFound,
    /// Something that is not ours is in the way.
    Conflict,
    /// The host does not permit it.
    Denied,
    /// What was asked can never work as it is; only other input helps.
    Invalid,
    /// The host lacks a part that is needed at all: a program, a bus, a file system.
    Unavailable,
}

impl fmt::Display for PortErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient",
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
        })
    }
}

/// An error of a port: its kind, what was attempted, and the adapter's own cause.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    kind: PortErrorKind,
    message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The result of a port call.
pub type PortResult<T> = Result<T, PortError>;

impl PortError {
    /// An error of `kind`; `message` names the companion or file, and never a secret.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(Arc::from(source.into())), ..self }
    }

    /// What the caller can do.
    pub fn kind(&self) -> PortErrorKind {
        self.kind
    }

    /// This error as the answer for each of `names`: the call failed before it could tell them apart.
    pub fn for_each<'n, T>(
        self,
        names: impl IntoIterator<Item = &'n CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<T>> {
        names.into_iter().map(|name| (name.clone(), Err(self.clone()))).collect()
    }

    /// The message and all its causes in one line, joined by `: `.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// A host: one implementation of every port.
#[derive(Clone)]
pub struct Host {
    /// Where units are kept.
    pub units: Arc<dyn UnitStore>,
    /// Who runs them.
    pub services: Arc<dyn ServiceManager>,
    /// Who has the images.
    pub images: Arc<dyn ImageProvider>,
    /// Who renders configuration.
    pub hooks: Arc<dyn HookRunner>,
    /// Who knows the containers.
    pub containers: Arc<dyn ContainerRuntime>,
    /// Who knows what is desired.
    pub desired: Arc<dyn DesiredStore>,
    /// Who lets one process at a time decide.
    pub leadership: Arc<dyn Leadership>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}
