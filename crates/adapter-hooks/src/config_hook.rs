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
    /// Computes the bytes of the hook's file.
    ///
    /// # Errors
    /// [`HookError::NotReady`] if an input is missing, otherwise [`HookError::failed`]; neither may contain a secret.
    fn render(&self) -> Result<Rendered, HookError>;

    /// Returns the files that [`render`](Self::render) reads. Their changes are noticed immediately, those of other
    /// files at the next resync. Does not block.
    fn inputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl<F> ConfigHook for F
where
    F: Fn() -> Result<Rendered, HookError> + Send + Sync,
{
    fn render(&self) -> Result<Rendered, HookError> {
        self()
    }
}
