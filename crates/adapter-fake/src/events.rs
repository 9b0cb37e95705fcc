//! Change events of the host, which may be lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::host::FakeHost;

/// The delivery of change events.
///
/// An event does not identify the change, so a late event and a reordered one are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Delivery {
    /// Each arrives immediately.
    #[default]
    Delivered,
    /// None arrives.
    Lost,
    /// Each arrives immediately, and again a second later.
    Doubled,
    /// Each arrives with this delay, and so possibly after later ones.
    Late(Duration),
}

/// The receiver of events, and the delivery.
#[derive(Debug, Default)]
pub(crate) struct Events {
    wake: Option<Arc<Notify>>,
    delivery: Delivery,
}

impl FakeHost {
    /// Sets `wake` as the receiver of an event for every tampering. Automatic changes and port calls emit no
    /// events.
    pub fn tell(&self, wake: Arc<Notify>) {
        self.state().events.wake = Some(wake);
    }

    /// Sets the delivery of events.
    pub fn deliver_events(&self, delivery: Delivery) {
        self.state().events.delivery = delivery;
    }

    /// Emits an event.
    ///
    /// A duplicated or delayed event requires a runtime.
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
