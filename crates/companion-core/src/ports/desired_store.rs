//! `DesiredStore`: loads the desired state.

use async_trait::async_trait;

use super::PortResult;
use crate::model::desired::DesiredState;

/// Loads the desired state.
///
/// # Contract
/// - [`load`](Self::load) reads the last recorded state, from any process, and the current version of
///   referenced files such as a catalog: a change requires no restart.
/// - An intent can be recorded at any time, also during a reconcile. The next reconcile that loads it applies
///   it.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait DesiredStore: Send + Sync {
    /// Reads the desired state.
    ///
    /// # Errors
    /// `Invalid` when the desired state cannot be parsed: it is then unknown, and nothing may be changed.
    /// `Denied` when permission is denied.
    async fn load(&self) -> PortResult<DesiredState>;

    /// Waits until the desired state or a referenced file may have changed, as
    /// [`ServiceManager::changed`](super::ServiceManager::changed) does. A reconcile follows without the interval that
    /// bounds other hints, because somebody waits for the result.
    async fn changed(&self) {
        std::future::pending().await
    }
}
