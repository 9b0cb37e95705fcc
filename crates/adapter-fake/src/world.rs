//! The host as plain data, and the rules by which it changes.
//!
//! Nothing here reads a clock, waits or does IO. A world is cloned and compared as a value, so a
//! search can hold a great many of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::unit::JobResult;

mod boot;
pub mod conditions;
pub mod containers;
pub mod desired;
pub mod drop_ins;
pub mod durable;
pub mod files;
pub mod images;
mod jobs;
mod loading;
mod logs;
mod processes;
mod rebase;
pub mod services;
mod tampering;
mod truth;
pub mod units;
pub mod violations;

use conditions::{Conditions, Delays, RateLimit};
use containers::Container;
use desired::{Record, RecordBefore, Wish};
use drop_ins::DropIns;
use durable::Durable;
use files::Files;
use images::Images;
use services::{Behaviour, Service};
use units::{Load, UnitBytes};
use violations::{Unseen, Violation};

pub use truth::Untruth;

/// All that the host has at one companion's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Slot {
    /// What lies in the unit directory.
    pub file: Durable<UnitBytes>,
    /// What the service manager made of it at the last reload.
    pub load: Load,
    /// What runs.
    pub service: Service,
    /// The container of that name.
    pub container: Option<Container>,
    /// Whether the operator masked the unit.
    pub masked: bool,
    /// Whether another unit of the same name comes first in the search path.
    pub shadowed: bool,
    /// Whether the generator refuses whatever unit has this name.
    pub refused: bool,
    /// How the program in the container behaves.
    pub behaviour: Behaviour,
    /// What the program logs before it ends; a line about its end unless something else is said here.
    pub says: String,
    /// What an operator added beside the unit.
    pub drop_ins: DropIns,
    /// What was recorded as wished for.
    pub wish: Option<Wish>,
    pub(crate) written_since_reload: bool,
    pub(crate) gone_for_good: bool,
    pub(crate) unseen: Unseen,
}

/// A whole host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct World {
    pub(crate) slots: BTreeMap<CompanionName, Slot>,
    /// Images, build contexts and registries.
    pub images: Images,
    /// Rendered configuration and what hooks read.
    pub files: Files,
    /// The state of the host's parts: bus, disk, generator and so on.
    pub conditions: Conditions,
    /// How long things take.
    pub delays: Delays,
    /// Whether the record of what is wished for can be read.
    pub record: Record,
    /// The words that units are written in: another release of the manager, or another Podman, has
    /// another number and says the same specification differently.
    pub renderer: u32,
    pub(crate) generation: u64,
    pub(crate) record_before: Option<RecordBefore>,
    pub(crate) reloads: RateLimit,
    pub(crate) last_job: u32,
    pub(crate) last_run: u32,
    pub(crate) ended_jobs: VecDeque<(u32, JobResult)>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) unmanaged_replaced: u32,
}

impl World {
    /// A healthy host with nothing on it.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the host has at `name`, if it ever had anything there.
    pub fn slot(&self, name: &CompanionName) -> Option<&Slot> {
        self.slots.get(name)
    }

    /// What the host has at every name, in their order.
    pub fn slots(&self) -> impl Iterator<Item = (&CompanionName, &Slot)> {
        self.slots.iter()
    }

    /// Puts `slot` at `name` in place of what was there, however it came about.
    pub fn place(&mut self, name: &CompanionName, slot: Slot) {
        self.slots.insert(name.clone(), slot);
    }

    pub(crate) fn slot_mut(&mut self, name: &CompanionName) -> &mut Slot {
        self.slots.entry(name.clone()).or_default()
    }

    /// Lets everything happen that is due until `now`, in its order.
    pub fn advance(&mut self, now: Duration) {
        while let Some((at, name)) = self.next_due() {
            if at > now {
                return;
            }
            self.step(&name, at);
        }
    }

    /// When something will happen next without anyone acting.
    pub fn next_event(&self) -> Option<Duration> {
        self.next_due().map(|(at, _)| at)
    }

    fn next_due(&self) -> Option<(Duration, CompanionName)> {
        let due =
            self.slots.iter().filter_map(|(name, slot)| Some((slot.service.phase.due()?, name)));
        due.min().map(|(at, name)| (at, name.clone()))
    }
}
