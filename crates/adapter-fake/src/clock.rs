//! Virtual time: tokio's clock, which tests pause, relative to the host's origin.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// The host's monotonic clock.
///
/// Its origin is the first reading, so that a host may be created outside the runtime with the paused clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    origin: OnceLock<Instant>,
}

impl Clock {
    fn origin(&self) -> Instant {
        *self.origin.get_or_init(Instant::now)
    }

    /// Returns the time since the origin.
    pub(crate) fn now(&self) -> Duration {
        let origin = self.origin();
        Instant::now().saturating_duration_since(origin)
    }

    /// Returns the instant `since_origin` after the origin.
    pub(crate) fn instant(&self, since_origin: Duration) -> Instant {
        self.origin() + since_origin
    }
}
