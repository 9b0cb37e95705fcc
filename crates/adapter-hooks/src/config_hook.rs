//! Hooks written in Rust: what a host program registers under a name.

use companion_core::model::hook::Rendered;

use crate::error::HookError;

/// A hook written in Rust.
///
/// It is called for each look at the host, on a thread where blocking is allowed, so it is cheap and
/// only reads: [`read_secret`](crate::read_secret) and [`template::render`](crate::template::render)
/// are made for it. The same inputs must give the same bytes, otherwise the companion would be
/// restarted at each look. Closures of the same shape are hooks too.
pub trait ConfigHook: Send + Sync {
    /// Computes the bytes of the hook's file, or says what it waits for.
    ///
    /// # Errors
    /// [`HookError`], for instance [`HookError::failed`]; it must not hold a secret.
    fn render(&self) -> Result<Readiness, HookError>;
}

impl<F> ConfigHook for F
where
    F: Fn() -> Result<Readiness, HookError> + Send + Sync,
{
    fn render(&self) -> Result<Readiness, HookError> {
        self()
    }
}

/// What a hook would render now.
#[must_use = "a hook that is not ready has rendered nothing"]
#[derive(Debug)]
pub enum Readiness {
    /// These bytes.
    Ready(Rendered),
    /// Nothing yet: something that it reads is not there.
    NotReady {
        /// What it waits for, for people; never a secret.
        waiting_for: String,
    },
}
