//! Boot and logout: what is lost, and what restarts automatically.

use std::time::Duration;

use companion_core::model::companion::CompanionName;

use super::World;
use super::containers::{Container, Status};
use super::durable::Durable;
use super::services::Service;
use super::units::Load;

impl World {
    /// Reboots the host cleanly: nothing on the disk is lost.
    pub fn reboot(&mut self, now: Duration) {
        self.advance(now);
        for slot in self.slots.values_mut() {
            slot.file.sync();
            slot.container = slot.container.filter(|container| !container.ours);
        }
        self.files.rendered.values_mut().for_each(Durable::sync);
        self.files.outputs.values_mut().for_each(Durable::sync);
        self.sync_images();
        self.sync_record();
        self.boot(now);
    }

    /// Reboots the host after a power loss: unsynced writes are lost, and containers stay behind.
    pub fn power_loss(&mut self, now: Duration) {
        self.power_loss_leaving(0, now);
    }

    /// Sets the container states after a power loss.
    pub(crate) fn fall(&mut self) {
        for slot in self.slots.values_mut() {
            slot.container =
                slot.container.map(|container| Container { status: Status::Exited, ..container });
        }
    }

    pub(crate) fn boot(&mut self, now: Duration) {
        for slot in self.slots.values_mut() {
            slot.service = Service::default();
            slot.load = Load::NotFound;
        }
        self.ended_jobs.clear();
        if self.conditions.linger {
            self.user_login(now);
        } else {
            self.conditions.bus = false;
        }
    }

    /// Ends the user's last session. Without lingering the user's service manager and all its services stop.
    pub fn user_logout(&mut self, now: Duration) {
        self.advance(now);
        if self.conditions.linger {
            return;
        }
        self.conditions.bus = false;
        for slot in self.slots.values_mut() {
            slot.service = Service::default();
            slot.load = Load::NotFound;
            slot.container = slot.container.filter(|container| !container.ours);
        }
    }

    /// Starts the user's service manager: it loads all units and starts the managed ones, because
    /// `default.target` wants them.
    pub fn user_login(&mut self, now: Duration) {
        self.conditions.bus = true;
        self.load_units();
        let ours = self.slots.iter().filter(|(_, slot)| {
            let loaded = matches!(slot.load, Load::Ours(_));
            loaded && !slot.masked && slot.service == Service::default()
        });
        let ours: Vec<CompanionName> = ours.map(|(name, _)| name.clone()).collect();
        for name in ours {
            self.begin_start_by_itself(&name, now);
        }
    }
}
