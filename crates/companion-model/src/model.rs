//! The data types: desired state, observed state, and their identifiers.
//!
//! Plain data: no IO, no clock. Names, paths, references and limits are validated by their constructors. A
//! specification has public fields and cross-field rules: a parser calls
//! [`ContainerSpec::validate`](container::ContainerSpec::validate), and every unit store calls it again before
//! a write. The hook runner validates the fields of a hook.

pub mod companion;
pub mod container;
pub mod desired;
pub mod error;
pub mod hook;
pub mod host;
pub mod image;
pub mod log;
pub mod observed;
pub mod revision;
pub mod service;
mod text;
pub mod unit;

use std::time::Duration;

/// A point on the monotonic clock, relative to an origin chosen by the reconciler.
///
/// Only differences are meaningful. It is independent of the wall clock, so a clock step moves no deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// Returns the point `since_origin` after the origin.
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// Returns the point `delay` later, saturating at the maximum.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// Returns the point `earlier` before, saturating at the origin.
    #[must_use]
    pub const fn before(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier))
    }

    /// Returns the time from `self` until `later`; zero if `later` has passed.
    pub const fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}
