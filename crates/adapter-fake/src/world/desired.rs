//! The record of what is wished for.
//!
//! The record of one companion is a number: the specification it stands for is kept by the host
//! beside the world, once, so that a world stays small.

use std::collections::BTreeMap;

use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::container::AbsolutePath;
use companion_core::model::desired::{
    DesiredCompanion, DesiredState, Generation, RemovedCompanion,
};
use companion_core::model::image::ImageSource;
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use super::World;
use crate::inputs::Inputs;

/// Whether the record can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Record {
    /// It can.
    #[default]
    Readable,
    /// Its bytes make no sense.
    Corrupt,
    /// The file system does not permit it.
    Forbidden,
}

/// The number of a specification in [`Specs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecId(u32);

/// The specifications that were ever wished for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Specs {
    all: Vec<CompanionSpec>,
    /// Whose hook each rendered file is of.
    owners: BTreeMap<AbsolutePath, CompanionName>,
}

impl Specs {
    /// The number of `spec`, which is given one if it has none yet.
    pub fn id(&mut self, spec: &CompanionSpec) -> SpecId {
        let position = self.all.iter().position(|known| known == spec);
        let position = position.unwrap_or_else(|| {
            self.all.push(spec.clone());
            if let Some(hook) = &spec.hook {
                self.owners.insert(hook.output.clone(), spec.name.clone());
            }
            self.all.len() - 1
        });
        SpecId(u32::try_from(position).unwrap_or(u32::MAX))
    }

    /// The same specifications as a process with `inputs` desires them.
    #[must_use]
    pub fn desired_with(&self, inputs: &Inputs) -> Self {
        let all = self.all.iter().map(|spec| inputs.desire(spec.clone())).collect();
        Self { all, owners: self.owners.clone() }
    }

    /// The specification with the number `id`.
    pub fn get(&self, id: SpecId) -> Option<&CompanionSpec> {
        self.all.get(usize::try_from(id.0).ok()?)
    }

    /// The companion that was wished for with this image, the last if several were.
    pub fn owner_of_image(&self, source: &ImageSource) -> Option<&CompanionName> {
        self.all.iter().rev().find(|spec| spec.image == *source).map(|spec| &spec.name)
    }

    /// The companion whose hook renders the file at `output`.
    pub fn owner(&self, output: &AbsolutePath) -> Option<&CompanionName> {
        self.owners.get(output)
    }
}

/// What is wished for a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    /// That it exists.
    Exists {
        /// What it is to be.
        spec: SpecId,
        /// When that was wished for.
        generation: u64,
    },
    /// That nothing of it is left.
    Gone {
        /// What it last was, if that is known.
        spec: Option<SpecId>,
        /// When that was wished for.
        generation: u64,
    },
}

/// What a loss of power would bring back of the record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RecordBefore {
    generation: u64,
    /// The wishes that have changed since it was synced, as they were then.
    wishes: BTreeMap<CompanionName, Option<Wish>>,
}

impl World {
    /// Lets `wish` change the record of `name`, not yet durably.
    pub(crate) fn unsynced(
        &mut self,
        name: &CompanionName,
        wish: impl FnOnce(&mut Self) -> Generation,
    ) -> Generation {
        let before = self.slot(name).and_then(|slot| slot.wish);
        let generation = self.generation;
        let record = self
            .record_before
            .get_or_insert_with(|| RecordBefore { generation, wishes: BTreeMap::new() });
        record.wishes.entry(name.clone()).or_insert(before);
        wish(self)
    }

    /// Makes the record survive a loss of power. It is one file, so all of it does.
    pub fn sync_record(&mut self) {
        self.record_before = None;
    }

    /// Whether the record would survive a loss of power.
    pub fn record_is_durable(&self) -> bool {
        self.record_before.is_none()
    }

    /// Brings back the record that was synced last.
    pub(crate) fn lose_unsynced_record(&mut self) {
        let Some(before) = self.record_before.take() else { return };
        self.generation = before.generation;
        for (name, wish) in before.wishes {
            self.slot_mut(&name).wish = wish;
        }
    }

    /// Records that `name` is to exist as `spec` says, durably.
    pub fn wish_exists(&mut self, name: &CompanionName, spec: SpecId) -> Generation {
        self.generation += 1;
        let generation = self.generation;
        let slot = self.slot_mut(name);
        slot.gone_for_good = false;
        slot.wish = Some(Wish::Exists { spec, generation });
        Generation(generation)
    }

    /// Records that nothing of `name` is to be left, durably.
    pub fn wish_gone(&mut self, name: &CompanionName) -> Generation {
        self.generation += 1;
        let generation = self.generation;
        let slot = self.slot_mut(name);
        let spec = match slot.wish {
            Some(Wish::Exists { spec, .. }) => Some(spec),
            Some(Wish::Gone { spec, .. }) => spec,
            None => None,
        };
        slot.wish = Some(Wish::Gone { spec, generation });
        Generation(generation)
    }

    /// The desired state, with its specifications taken from `specs`.
    ///
    /// # Errors
    /// `Invalid` when the record is corrupt, `Denied` when it must not be read.
    pub fn desired(&self, specs: &Specs) -> PortResult<DesiredState> {
        let refuse = |kind, why: &str| {
            let message = format!("the record of desired companions {why}");
            Err(PortError::new(kind, message))
        };
        match self.record {
            Record::Readable => {}
            Record::Corrupt => return refuse(PortErrorKind::Invalid, "cannot be understood"),
            Record::Forbidden => return refuse(PortErrorKind::Denied, "must not be read"),
        }
        let latest = Generation(self.generation);
        let mut desired = DesiredState { latest, ..DesiredState::default() };
        for (name, slot) in &self.slots {
            match slot.wish {
                Some(Wish::Exists { spec, generation }) => {
                    let Some(spec) = specs.get(spec) else { continue };
                    let companion = DesiredCompanion::new(spec.clone(), Generation(generation));
                    desired.companions.insert(name.clone(), companion);
                }
                Some(Wish::Gone { spec, generation }) => {
                    let known = spec.and_then(|spec| specs.get(spec));
                    let removed = RemovedCompanion {
                        generation: Generation(generation),
                        hook: known.and_then(|spec| spec.hook.clone()),
                    };
                    desired.removed.insert(name.clone(), removed);
                }
                None => {}
            }
        }
        Ok(desired)
    }
}
