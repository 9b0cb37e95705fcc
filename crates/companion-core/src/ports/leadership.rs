//! `Leadership`: which process decides about the host.
//!
//! Two processes that decide with different inputs undo each other's work. So exactly one decides at a
//! time, and the right belongs to what is controlled, not to where the desired state is kept.

use std::fmt;

use async_trait::async_trait;

use super::PortResult;

/// The right to decide about the host, held until it is dropped or the process ends.
#[must_use = "the leadership is free again as soon as this is dropped"]
pub struct Lease(Box<dyn Held>);

/// An adapter's own guard of a lease, which frees it when it is dropped.
pub trait Held: Send {
    /// Whether the lease still excludes others. It must return within moments.
    ///
    /// A lease can be lost: somebody removes the file that is locked, and the next process locks a new one.
    fn is_held(&self) -> bool;
}

/// The guard of a host on which nobody has to be excluded.
impl Held for () {
    fn is_held(&self) -> bool {
        true
    }
}

impl Lease {
    /// Wraps the adapter's own guard.
    pub fn new(guard: impl Held + 'static) -> Self {
        Self(Box::new(guard))
    }

    /// Whether it still excludes others.
    pub fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

/// What came of an attempt to lead.
#[derive(Debug)]
pub enum Acquired {
    /// The caller leads.
    Leading(Lease),
    /// Another process leads.
    Led {
        /// Which, for people.
        by: String,
    },
}

/// Lets one process at a time decide about the host.
///
/// # Contract
/// - A lease excludes every other one for the same host, in this process and in others, wherever the
///   desired state is kept.
/// - It is free once it was dropped or its process died.
/// - A lease that was lost says so.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Leadership: Send + Sync {
    /// Takes the leadership if no other process has it. It never waits for a leader to end.
    ///
    /// # Errors
    /// `Denied` when there is no place for the lock, `Unavailable` when the place has no working locks,
    /// `Transient` when it did not answer in time.
    async fn acquire(&self) -> PortResult<Acquired>;
}
