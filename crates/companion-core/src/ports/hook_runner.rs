//! `HookRunner`: renders configuration before a companion starts.

use async_trait::async_trait;

use super::{Hint, PortResult};
use crate::model::hook::{ConfigId, HookSpec, HookState, Rendered};

/// Renders configuration onto the host.
///
/// # Contract
/// - Digests are keyed with a secret of the host, so that guesses of a secret cannot be verified.
/// - [`render`](Self::render) may be slow and has no visible effect; [`commit`](Self::commit) is short.
/// - A rendering without a commit leaves no files; a truncated file counts as modified.
/// - A rendered file is in the directory of the hook's output, at [`ConfigId::path`], and is never overwritten
///   with other bytes. The output is a symbolic link to the last committed file.
/// - The files of different hooks are independent.
/// - A rendered file is created with mode 0600 in a directory of mode 0700, and is written atomically.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait HookRunner: Send + Sync {
    /// Reads the state of `hook` without rendering and without starting a program.
    ///
    /// # Errors
    /// `Invalid` for an invalid hook, `Denied` and `Transient` from reads. A missing input is
    /// [`Rendering::NotReady`](crate::model::hook::Rendering::NotReady), not an error.
    async fn observe(&self, hook: &HookSpec) -> PortResult<HookState>;

    /// Renders the bytes of the hook's file.
    ///
    /// # Errors
    /// `Invalid` when a template, a value or the result is invalid, `Transient` on a timeout, `NotFound` when
    /// an input or a program is missing.
    async fn render(&self, hook: &HookSpec) -> PortResult<Rendered>;

    /// Writes rendered bytes durably under the name from [`ConfigId::to_commit`], links the output to the file,
    /// and returns the name. The link replaces a regular file at the output, as left by an earlier release.
    ///
    /// # Errors
    /// `Conflict` when the output exists and is neither a link nor a regular file, `Denied`,
    /// `Unavailable` (read-only) and `Transient` from the file system.
    async fn commit(
        &self,
        hook: &HookSpec,
        rendered: Rendered,
        claimed: &[ConfigId],
    ) -> PortResult<ConfigId>;

    /// Removes all rendered files of the hook except `keep`.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    async fn sweep(&self, hook: &HookSpec, keep: ConfigId) -> PortResult<()>;

    /// Removes all rendered files and the output; succeeds if none exist.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    async fn remove(&self, hook: &HookSpec) -> PortResult<()>;

    /// Waits until an input or a rendered file of an observed hook may have changed, as
    /// [`ServiceManager::changed`](super::ServiceManager::changed) does.
    async fn changed(&self) -> Hint {
        std::future::pending().await
    }
}
