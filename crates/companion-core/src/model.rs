//! The nouns: what is wanted, what was seen, and the names both are told apart by.
//!
//! Everything here is plain data. Nothing does IO or reads a clock. A name, path, reference or limit
//! that exists is valid, because its constructor refuses what the layers below could not carry. A
//! specification that is made of them has public fields, and rules that several of them take part in:
//! whoever reads one from outside asks [`ContainerSpec::validate`](container::ContainerSpec::validate), and
//! every unit store asks it again before it writes; a hook's fields are checked by the hook runner.

pub mod companion;
pub mod container;
pub mod desired;
pub mod hook;
pub mod image;
pub mod log;
pub mod observed;
pub mod revision;
pub mod unit;

use std::time::Duration;

/// A point on the monotonic clock, counted from an origin that the reconciler chose.
///
/// Only differences mean anything. It never follows the wall clock, so a clock that jumps moves no
/// deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The point that lies `since_origin` after the origin.
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// The time since the origin.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// The point `delay` later, or the last one that can be said.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// The point `earlier`, or the origin.
    #[must_use]
    pub const fn before(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier))
    }

    /// The time from now, `self`, until `later`; zero when that has passed.
    pub const fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}
