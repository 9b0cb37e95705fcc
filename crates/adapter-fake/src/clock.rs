//! Virtual time: the clock of tokio, which tests pause, counted from the host's first moment.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// The host's monotonic clock.
///
/// Its origin is the first reading, so that a host made outside a runtime with a paused clock still
/// agrees with it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    origin: OnceLock<Instant>,
}

impl Clock {
    fn origin(&self) -> Instant {
        *self.origin.get_or_init(Instant::now)
    }

    /// The time since the origin.
    pub(crate) fn now(&self) -> Duration {
        let origin = self.origin();
        Instant::now().saturating_duration_since(origin)
    }

    /// The instant that lies `since_origin` after the origin.
    pub(crate) fn instant(&self, since_origin: Duration) -> Instant {
        self.origin() + since_origin
    }
}
