//! Drop-ins: what an operator adds to a unit beside its file. They change nothing that is modelled here.

use companion_core::model::companion::CompanionName;

use super::units::UNIT_DIRECTORY;
use super::{Slot, World};

/// The directory of the units and drop-ins that are the service manager's own.
const SERVICE_DIRECTORY: &str = "/home/archipelago/.config/systemd/user";

/// The drop-ins at one companion's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DropIns {
    /// Whether there is one beside the unit file.
    pub of_file: bool,
    /// Whether there is one for the service.
    pub of_service: bool,
    /// Whether the last reload found that.
    pub loaded: bool,
}

impl World {
    /// An operator adds a setting beside the unit file of `name`.
    pub fn add_drop_in_of_file(&mut self, name: &CompanionName) {
        self.slot_mut(name).drop_ins.of_file = true;
    }

    /// An operator adds a setting for the service of `name`; it is in force after a reload.
    pub fn add_drop_in_of_service(&mut self, name: &CompanionName) {
        self.slot_mut(name).drop_ins.of_service = true;
    }
}

impl Slot {
    /// The drop-ins beside the unit file, as the unit store names them.
    pub(crate) fn file_drop_ins(&self, name: &CompanionName) -> Vec<String> {
        let path = format!("{UNIT_DIRECTORY}/{name}.container.d/operator.conf");
        self.drop_ins.of_file.then_some(path).into_iter().collect()
    }

    /// The drop-ins of the loaded unit, as the service manager names them.
    pub(crate) fn loaded_drop_ins(&self, name: &CompanionName) -> Vec<String> {
        let path = format!("{SERVICE_DIRECTORY}/{name}.service.d/operator.conf");
        self.drop_ins.loaded.then_some(path).into_iter().collect()
    }
}
