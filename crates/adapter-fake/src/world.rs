//! The host as plain data, and its transition rules.
//!
//! Pure: no clock, no waiting, no IO. Worlds are cloned and compared as values, so a search can hold many of
//! them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use companion_core::model::companion::CompanionName;

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
mod mismatch;
mod processes;
mod rebase;
pub mod services;
mod tampering;
pub mod units;
pub mod violations;

use conditions::{Conditions, Delays, RateLimit};
use containers::Container;
use desired::{Intent, Record, RecordBefore};
use drop_ins::DropIns;
use durable::Durable;
use files::Files;
use images::Images;
use services::{Behaviour, Service};
use units::{Load, UnitBytes};
use violations::{Unseen, Violation};

pub use jobs::JobResult;
pub use mismatch::Mismatch;

/// All state of the host for one companion's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Slot {
    /// The file in the unit directory.
    pub file: Durable<UnitBytes>,
    /// The unit loaded by the last reload.
    pub load: Load,
    /// The service.
    pub service: Service,
    /// The container of that name.
    pub container: Option<Container>,
    /// Whether the operator masked the unit.
    pub masked: bool,
    /// Whether another unit of the same name takes precedence in the search path.
    pub shadowed: bool,
    /// Whether the generator rejects any unit of this name.
    pub refused: bool,
    /// How the program in the container behaves.
    pub behaviour: Behaviour,
    /// The log lines of the program before it exits; by default a line about its exit.
    pub says: String,
    /// The drop-ins of the unit.
    pub drop_ins: DropIns,
    /// The recorded intent.
    pub intent: Option<Intent>,
    pub(crate) written_since_reload: bool,
    pub(crate) removed_for_good: bool,
    pub(crate) unseen: Unseen,
}

/// A whole host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct World {
    pub(crate) slots: BTreeMap<CompanionName, Slot>,
    /// Images, build contexts and registries.
    pub images: Images,
    /// Rendered configuration and hook inputs.
    pub files: Files,
    /// Conditions of the host: bus, disk, generator and so on.
    pub conditions: Conditions,
    /// Durations.
    pub delays: Delays,
    /// Whether the record of the desired state is readable.
    pub record: Record,
    /// The version of the unit renderer: another release of the manager or of Podman renders the same
    /// specification differently.
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
    /// Returns a healthy, empty host.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a healthy, empty host without optional abilities
    /// ([`HostTraits::NONE`](companion_core::model::host::HostTraits::NONE)).
    pub fn without_traits() -> Self {
        Self { conditions: Conditions::without_traits(), ..Self::default() }
    }

    /// Returns the slot of `name`, if it exists.
    pub fn slot(&self, name: &CompanionName) -> Option<&Slot> {
        self.slots.get(name)
    }

    /// Returns all slots by name.
    pub fn slots(&self) -> impl Iterator<Item = (&CompanionName, &Slot)> {
        self.slots.iter()
    }

    /// Replaces the slot of `name`.
    pub fn place(&mut self, name: &CompanionName, slot: Slot) {
        self.slots.insert(name.clone(), slot);
    }

    pub(crate) fn slot_mut(&mut self, name: &CompanionName) -> &mut Slot {
        self.slots.entry(name.clone()).or_default()
    }

    /// Processes all events due until `now`, in order.
    pub fn advance(&mut self, now: Duration) {
        while let Some((at, name)) = self.next_due() {
            if at > now {
                return;
            }
            self.step(&name, at);
        }
    }

    /// Returns the time of the next event that happens without an action.
    pub fn next_event(&self) -> Option<Duration> {
        self.next_due().map(|(at, _)| at)
    }

    fn next_due(&self) -> Option<(Duration, CompanionName)> {
        let due =
            self.slots.iter().filter_map(|(name, slot)| Some((slot.service.phase.due()?, name)));
        due.min().map(|(at, name)| (at, name.clone()))
    }
}
