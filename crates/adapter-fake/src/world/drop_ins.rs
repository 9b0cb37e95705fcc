//! Drop-ins of units. They change nothing that is modelled here.

use companion_core::model::companion::CompanionName;

use super::units::UNIT_DIRECTORY;
use super::{Slot, World};

/// The service manager's directory of units and drop-ins.
const SERVICE_DIRECTORY: &str = "/home/archipelago/.config/systemd/user";

/// The drop-ins at one companion's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DropIns {
    /// Whether the unit file has one.
    pub of_file: bool,
    /// Whether the service has one.
    pub of_service: bool,
    /// Whether the last reload loaded it.
    pub loaded: bool,
}

impl World {
    /// Adds a drop-in to the unit file of `name`.
    pub fn add_drop_in_of_file(&mut self, name: &CompanionName) {
        self.slot_mut(name).drop_ins.of_file = true;
    }

    /// Adds a drop-in to the service of `name`; effective after a reload.
    pub fn add_drop_in_of_service(&mut self, name: &CompanionName) {
        self.slot_mut(name).drop_ins.of_service = true;
    }
}

impl Slot {
    /// Returns the drop-ins of the unit file, as the unit store reports them.
    pub(crate) fn file_drop_ins(&self, name: &CompanionName) -> Vec<String> {
        let path = format!("{UNIT_DIRECTORY}/{name}.container.d/operator.conf");
        self.drop_ins.of_file.then_some(path).into_iter().collect()
    }

    /// Returns the drop-ins of the loaded unit, as the service manager reports them.
    pub(crate) fn loaded_drop_ins(&self, name: &CompanionName) -> Vec<String> {
        let path = format!("{SERVICE_DIRECTORY}/{name}.service.d/operator.conf");
        self.drop_ins.loaded.then_some(path).into_iter().collect()
    }
}
