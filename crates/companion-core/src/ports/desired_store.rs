//! `DesiredStore`: who knows what is wanted, and lets one writer in at a time.

use std::any::Any;
use std::fmt;

use async_trait::async_trait;

use super::PortResult;
use crate::model::desired::DesiredState;

/// The right to change the host, held until it is dropped, or until the process ends.
#[must_use = "the lock is free again as soon as this is dropped"]
pub struct HostLock(
    #[expect(dead_code, reason = "held for what its drop does, never read")] Box<dyn Any + Send>,
);

impl HostLock {
    /// Wraps the adapter's own guard.
    pub fn new(guard: impl Any + Send) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for HostLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostLock")
    }
}

/// Knows what is wanted.
///
/// # Contract
/// - [`load`](Self::load) reads what was recorded last, by whichever process.
/// - The lock excludes every other holder on the host, in this process and in others, and is freed
///   when its holder dies.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait DesiredStore: Send + Sync {
    /// Reads the desired state.
    ///
    /// # Errors
    /// `Invalid` when the record cannot be understood: then nothing is known to be wanted or not,
    /// and nothing may be done. `Denied` when it must not be read.
    async fn load(&self) -> PortResult<DesiredState>;

    /// Waits for the right to change the host.
    ///
    /// # Errors
    /// `Transient` when another process held it for too long, `Denied` when there is no place for it.
    async fn lock(&self) -> PortResult<HostLock>;
}
