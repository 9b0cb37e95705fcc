//! `HookRunner`: who renders configuration before a companion starts.

use async_trait::async_trait;

use super::PortResult;
use crate::model::hook::{HookSpec, HookState, Rendered};
use crate::model::revision::Fingerprint;

/// Renders configuration onto the host.
///
/// # Contract
/// - Digests are keyed with a secret of the host, so that they give no means to test guesses.
/// - [`render`](Self::render) may take its time and has no effect that anyone sees;
///   [`commit`](Self::commit) is short.
/// - What was rendered and never committed leaves nothing; a file that was cut off is stale.
/// - The files of two hooks have nothing to do with each other.
/// - A rendered file has mode 0600 in a directory of mode 0700 from its first byte on, and is
///   replaced whole or not at all.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait HookRunner: Send + Sync {
    /// Reads what `hook` would do now, without doing it and without starting a program.
    ///
    /// # Errors
    /// `Invalid` for a hook that cannot be understood, `Conflict` when something that is not a regular
    /// file lies at its output, `Denied` and `Transient` from reading.
    /// An input that is not there yet is [`HookState::NotReady`], not an error.
    async fn observe(&self, hook: &HookSpec) -> PortResult<HookState>;

    /// Computes the bytes of the hook's file.
    ///
    /// # Errors
    /// `Invalid` when a template or a value is refused or the result is not valid, `Transient` when
    /// a time limit passed, `NotFound` when an input or a program is missing.
    async fn render(&self, hook: &HookSpec) -> PortResult<Rendered>;

    /// Puts rendered bytes in place, durably, and returns their keyed digest.
    ///
    /// # Errors
    /// `Conflict` when something that is not a regular file lies there, `Denied` and `Transient`
    /// from the file system.
    async fn commit(&self, hook: &HookSpec, rendered: Rendered) -> PortResult<Fingerprint>;

    /// Removes what the hook rendered; nothing there is a success.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    async fn remove(&self, hook: &HookSpec) -> PortResult<()>;
}
