//! Hooks written in Rust, which a host program registers under a name.

use std::path::PathBuf;

use companion_core::model::hook::Rendered;

use crate::error::HookError;

/// A hook written in Rust.
///
/// It is called at each observation on a blocking thread, so it must be cheap and read-only:
/// [`read_secret`](crate::read_secret) and [`template::render`](crate::template::render) are made for it. The same
/// inputs must give the same bytes, otherwise the companion would restart at each observation. Closures with the same
/// signature are hooks too.
pub trait ConfigHook: Send + Sync {
    /// Computes the bytes of the hook's file, or reports what it waits for.
    ///
    /// # Errors
    /// [`HookError`], for instance [`HookError::failed`]; it must not contain a secret.
    fn render(&self) -> Result<Readiness, HookError>;

    /// Returns the files that [`render`](Self::render) reads. Their changes are noticed immediately, those of other
    /// files at the next resync. Does not block.
    fn inputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl<F> ConfigHook for F
where
    F: Fn() -> Result<Readiness, HookError> + Send + Sync,
{
    fn render(&self) -> Result<Readiness, HookError> {
        self()
    }
}

/// The result of a rendering.
#[must_use = "a hook that is not ready has rendered nothing"]
#[derive(Debug)]
pub enum Readiness {
    /// The rendered bytes.
    Ready(Rendered),
    /// An input is missing.
    NotReady {
        /// The missing input, for people; never a secret.
        waiting_for: String,
    },
}
