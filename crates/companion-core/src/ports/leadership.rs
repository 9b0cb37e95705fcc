//! `Leadership`: elects the process that reconciles the host.
//!
//! Two processes with different inputs undo each other's work, so only one reconciles at a time. The lease
//! belongs to the controlled host, not to the location of the desired state.

use std::fmt;

use async_trait::async_trait;

use super::PortResult;

/// The leader lease of a host, held until it is dropped or the process ends.
#[must_use = "dropping the lease releases the leadership"]
pub trait Lease: Send {
    /// Returns whether the lease still excludes others. It must return quickly.
    ///
    /// A lease can be lost, for example if the lock file is removed and another process locks a new one.
    fn is_held(&self) -> bool;
}

/// The lease of a host without other processes.
impl Lease for () {
    fn is_held(&self) -> bool {
        true
    }
}

impl fmt::Debug for dyn Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

/// The result of an attempt to acquire leadership.
#[derive(Debug)]
pub enum Acquired {
    /// The caller is the leader.
    Leading(Box<dyn Lease>),
    /// Another process is the leader.
    Led {
        /// A description of that process.
        by: String,
    },
}

/// Elects one leader per host.
///
/// # Contract
/// - A lease excludes every other one for the same host, in all processes, independent of the location of the
///   desired state.
/// - It is released when it is dropped or its process dies.
/// - A lost lease reports the loss.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Leadership: Send + Sync {
    /// Acquires leadership if no other process holds it. It never waits for the current leader.
    ///
    /// # Errors
    /// `Denied` when the lock file cannot be created, `Unavailable` when the file system does not support
    /// locks, `Transient` on a timeout.
    async fn acquire(&self) -> PortResult<Acquired>;
}
