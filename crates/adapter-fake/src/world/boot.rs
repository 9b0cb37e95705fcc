//! Boot and logout: what is lost, and what comes back by itself.

use std::time::Duration;

use companion_core::model::companion::CompanionName;

use super::World;
use super::containers::{Container, Status};
use super::durable::Durable;
use super::services::Service;
use super::units::Load;

impl World {
    /// The host is shut down in order and started again: nothing on the disk is lost.
    pub fn reboot(&mut self, now: Duration) {
        self.advance(now);
        for slot in self.slots.values_mut() {
            slot.file.sync();
            slot.container = slot.container.filter(|container| !container.ours);
        }
        self.files.rendered.values_mut().for_each(Durable::sync);
        self.files.outputs.values_mut().for_each(Durable::sync);
        self.sync_record();
        self.boot(now);
    }

    /// The host loses its power and is started again: what was not synced is lost, and containers
    /// are left behind as they fell.
    pub fn power_loss(&mut self, now: Duration) {
        self.power_loss_leaving(0, now);
    }

    /// What containers are after a loss of power.
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

    /// The user's last session ends. Without lingering the user's service manager goes with it, and
    /// so does all that it runs.
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

    /// The user's service manager starts: it loads all units, and starts those of ours, because each
    /// is wanted by the default target.
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
