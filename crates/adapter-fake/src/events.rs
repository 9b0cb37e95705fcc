//! Events: by which the host tells that something on it changed, if they arrive.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::host::FakeHost;

/// What becomes of the events by which the host tells that something changed.
///
/// An event says nothing of what changed, so one that is late and one that was overtaken are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Delivery {
    /// Each arrives at once.
    #[default]
    Delivered,
    /// None arrives.
    Lost,
    /// Each arrives at once, and again a second later.
    Doubled,
    /// Each arrives that much later, and so after those that came after it.
    Late(Duration),
}

/// Whom the host tells, and how reliably.
#[derive(Debug, Default)]
pub(crate) struct Events {
    wake: Option<Arc<Notify>>,
    delivery: Delivery,
}

impl FakeHost {
    /// Has every tampering with this host notify `wake`, in place of whom it notified before. What
    /// the host does by itself or for a caller of its ports is not told.
    pub fn tell(&self, wake: Arc<Notify>) {
        self.state().events.wake = Some(wake);
    }

    /// What becomes of the host's events from now on.
    pub fn deliver_events(&self, delivery: Delivery) {
        self.state().events.delivery = delivery;
    }

    /// An event: someone changed something.
    ///
    /// One that is doubled or late needs a runtime.
    pub(crate) fn event(&self) {
        let (wake, delivery) = {
            let state = self.state();
            let Some(wake) = state.events.wake.clone() else { return };
            (wake, state.events.delivery)
        };
        let later = match delivery {
            Delivery::Lost => return,
            Delivery::Delivered => None,
            Delivery::Doubled => Some(Duration::from_secs(1)),
            Delivery::Late(late) => Some(late),
        };
        if !matches!(delivery, Delivery::Late(_)) {
            wake.notify_one();
        }
        if let Some(later) = later {
            drop(tokio::spawn(async move {
                sleep(later).await;
                wake.notify_one();
            }));
        }
    }
}
