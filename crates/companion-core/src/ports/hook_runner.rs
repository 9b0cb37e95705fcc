//! `HookRunner`: who renders configuration before a companion starts.

use async_trait::async_trait;

use super::PortResult;
use crate::model::hook::{ConfigId, HookSpec, HookState, Rendered};

/// Renders configuration onto the host.
///
/// # Contract
/// - Digests are keyed with a secret of the host, so that they give no means to test guesses.
/// - [`render`](Self::render) may take its time and has no effect that anyone sees;
///   [`commit`](Self::commit) is short.
/// - What was rendered and never committed leaves nothing; a file that was cut off is modified.
/// - A rendered file lies beside the hook's output, at [`ConfigId::path`], and is never
///   replaced by other bytes. The output is a symbolic link to the last that was committed.
/// - The files of two hooks have nothing to do with each other.
/// - A rendered file has mode 0600 in a directory of mode 0700 from its first byte on, and is
///   written whole or not at all.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait HookRunner: Send + Sync {
    /// Reads what `hook` would do now, without doing it and without starting a program.
    ///
    /// # Errors
    /// `Invalid` for a hook that cannot be understood, `Denied` and `Transient` from reading.
    /// An input that is missing is [`Rendering::NotReady`](crate::model::hook::Rendering::NotReady), not an error.
    async fn observe(&self, hook: &HookSpec) -> PortResult<HookState>;

    /// Computes the bytes of the hook's file.
    ///
    /// # Errors
    /// `Invalid` when a template or a value is refused or the result is not valid, `Transient` when
    /// a time limit passed, `NotFound` when an input or a program is missing.
    async fn render(&self, hook: &HookSpec) -> PortResult<Rendered>;

    /// Writes rendered bytes under the name that [`ConfigId::to_commit`] gives them, durably, links the
    /// output to the file, and returns the name. A regular file at the output, which an earlier
    /// release left, is replaced by the link.
    ///
    /// # Errors
    /// `Conflict` when something that is neither a link nor a regular file lies at the output, `Denied`
    /// and `Transient` from the file system.
    async fn commit(
        &self,
        hook: &HookSpec,
        rendered: Rendered,
        claimed: &[ConfigId],
    ) -> PortResult<ConfigId>;

    /// Removes all files that the hook rendered, except `keep`.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    async fn sweep(&self, hook: &HookSpec, keep: ConfigId) -> PortResult<()>;

    /// Removes what the hook rendered and the output; nothing there is a success.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    async fn remove(&self, hook: &HookSpec) -> PortResult<()>;
}
