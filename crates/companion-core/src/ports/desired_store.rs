//! `DesiredStore`: who knows what is desired.

use async_trait::async_trait;

use super::PortResult;
use crate::model::desired::DesiredState;

/// Knows what is desired.
///
/// # Contract
/// - [`load`](Self::load) reads what was recorded last, by whichever process, and what it refers to (such
///   as a catalog) as it is now: no caller has to be restarted for a change.
/// - An intent can be recorded at any time, also while a reconcile is under way. The reconcile that loads
///   it carries it out.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait DesiredStore: Send + Sync {
    /// Reads the desired state.
    ///
    /// # Errors
    /// `Invalid` when the desired state cannot be understood: then nothing is known to be desired or not,
    /// and nothing may be done. `Denied` when it must not be read.
    async fn load(&self) -> PortResult<DesiredState>;
}
