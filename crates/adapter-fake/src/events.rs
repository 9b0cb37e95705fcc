//! Change events of the host, which may be lost.

use std::collections::BTreeSet;
use std::time::Duration;

use companion_core::ports::Hint;
use tokio::time::sleep;

use crate::host::FakeHost;
use crate::world::World;

/// The delivery of change events.
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

/// Whether events are reported, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Events {
    are_reported: bool,
    delivery: Delivery,
}

impl FakeHost {
    /// Reports every tampering as a [hint](Self::hint) from now on. Automatic changes and port calls emit no events.
    pub fn report_tampering(&self) {
        self.state().events.are_reported = true;
    }

    /// Sets the delivery of events.
    pub fn deliver_events(&self, delivery: Delivery) {
        self.state().events.delivery = delivery;
    }

    /// Changes the world outside the ports, and emits an event: about the companions whose unit, service or container is
    /// another one now, and about all if nothing of the kind changed.
    ///
    /// A duplicated or delayed event requires a runtime.
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut World, Duration)) {
        let (before, after) = self.change(|world, now| {
            let before = world.slot_digests();
            change(world, now);
            (before, world.slot_digests())
        });
        let names = before.keys().chain(after.keys());
        let changed: BTreeSet<_> =
            names.filter(|name| before.get(name) != after.get(name)).cloned().collect();
        self.event(if changed.is_empty() { Hint::All } else { Hint::Companions(changed) });
    }

    fn event(&self, hint: Hint) {
        let Events { are_reported, delivery } = self.state().events;
        if !are_reported {
            return;
        }
        let later = match delivery {
            Delivery::Lost => return,
            Delivery::Delivered => None,
            Delivery::Doubled => Some(Duration::from_secs(1)),
            Delivery::Late(late) => Some(late),
        };
        if !matches!(delivery, Delivery::Late(_)) {
            self.hint(hint.clone());
        }
        if let Some(later) = later {
            let host = self.clone();
            drop(tokio::spawn(async move {
                sleep(later).await;
                host.hint(hint);
            }));
        }
    }
}
