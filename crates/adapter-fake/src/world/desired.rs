//! The record of the desired state.
//!
//! The record of one companion is a number: the host keeps its specification once, outside the world, so that
//! worlds stay small.

use std::collections::BTreeMap;

use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::container::AbsolutePath;
use companion_core::model::desired::{
    DesiredCompanion, DesiredState, Generation, RemovedCompanion, Target,
};
use companion_core::model::image::ImageSource;
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use super::World;

/// Whether the record is readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Record {
    /// It is.
    #[default]
    Readable,
    /// It is corrupt.
    Corrupt,
    /// Permission is denied.
    Forbidden,
}

/// The number of a specification in [`Specs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecId(u32);

/// All specifications that were ever recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Specs {
    all: Vec<CompanionSpec>,
    /// The companion of each rendered file's hook.
    owners: BTreeMap<AbsolutePath, CompanionName>,
}

impl Specs {
    /// Returns the number of `spec`, and assigns one if necessary.
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

    /// Returns what `desire` makes of each specification.
    #[must_use]
    pub(crate) fn desired(self, desire: &dyn Fn(CompanionSpec) -> CompanionSpec) -> Self {
        Self { all: self.all.into_iter().map(desire).collect(), ..self }
    }

    /// Returns the specification with the number `id`.
    pub fn get(&self, id: SpecId) -> Option<&CompanionSpec> {
        self.all.get(usize::try_from(id.0).ok()?)
    }

    /// Returns the last companion recorded with this image.
    pub fn owner_of_image(&self, source: &ImageSource) -> Option<&CompanionName> {
        self.all.iter().rev().find(|spec| spec.image == *source).map(|spec| &spec.name)
    }

    /// Returns the companion whose hook renders `output`.
    pub fn owner(&self, output: &AbsolutePath) -> Option<&CompanionName> {
        self.owners.get(output)
    }
}

/// The intent for a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intent {
    /// Install.
    Exists {
        /// Its specification.
        spec: SpecId,
        /// The generation of the intent.
        generation: u64,
    },
    /// Remove.
    Absent {
        /// Its last specification, if known.
        spec: Option<SpecId>,
        /// The generation of the intent.
        generation: u64,
    },
}

/// The state of the record after a power loss.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RecordBefore {
    generation: u64,
    /// The synced values of intents that changed since.
    intents: BTreeMap<CompanionName, Option<Intent>>,
}

impl World {
    /// Changes the recorded intent of `name`, without syncing.
    pub(crate) fn unsynced(
        &mut self,
        name: &CompanionName,
        intent: impl FnOnce(&mut Self) -> Generation,
    ) -> Generation {
        let before = self.slot(name).and_then(|slot| slot.intent);
        let generation = self.generation;
        let record = self
            .record_before
            .get_or_insert_with(|| RecordBefore { generation, intents: BTreeMap::new() });
        record.intents.entry(name.clone()).or_insert(before);
        intent(self)
    }

    /// Syncs the record, which is one file.
    pub fn sync_record(&mut self) {
        self.record_before = None;
    }

    /// Returns whether the record is synced.
    pub fn record_is_durable(&self) -> bool {
        self.record_before.is_none()
    }

    /// Restores the last synced record.
    pub(crate) fn lose_unsynced_record(&mut self) {
        let Some(before) = self.record_before.take() else { return };
        self.generation = before.generation;
        for (name, intent) in before.intents {
            self.slot_mut(&name).intent = intent;
        }
    }

    /// Records and syncs an install of `name` with `spec`.
    pub fn intent_exists(&mut self, name: &CompanionName, spec: SpecId) -> Generation {
        self.generation += 1;
        let generation = self.generation;
        let slot = self.slot_mut(name);
        slot.removed_for_good = false;
        slot.intent = Some(Intent::Exists { spec, generation });
        Generation(generation)
    }

    /// Records and syncs a removal of `name`.
    pub fn intent_removed(&mut self, name: &CompanionName) -> Generation {
        self.generation += 1;
        let generation = self.generation;
        let slot = self.slot_mut(name);
        let spec = match slot.intent {
            Some(Intent::Exists { spec, .. }) => Some(spec),
            Some(Intent::Absent { spec, .. }) => spec,
            None => None,
        };
        slot.intent = Some(Intent::Absent { spec, generation });
        Generation(generation)
    }

    /// Returns the desired state with specifications from `specs`.
    ///
    /// # Errors
    /// `Invalid` when the record is corrupt, `Denied` when it is unreadable.
    pub fn desired(&self, specs: &Specs) -> PortResult<DesiredState> {
        let refuse = |kind, why: &str| {
            let message = format!("the record of desired companions {why}");
            Err(PortError::new(kind, message))
        };
        match self.record {
            Record::Readable => {}
            Record::Corrupt => return refuse(PortErrorKind::Invalid, "is invalid"),
            Record::Forbidden => {
                return refuse(PortErrorKind::Denied, "is not readable: permission denied");
            }
        }
        let latest = Generation(self.generation);
        let mut desired = DesiredState { latest, ..DesiredState::default() };
        for (name, slot) in &self.slots {
            match slot.intent {
                Some(Intent::Exists { spec, generation }) => {
                    let Some(spec) = specs.get(spec) else { continue };
                    let companion = DesiredCompanion::new(spec.clone(), Generation(generation));
                    desired.targets.insert(name.clone(), Target::Present(companion));
                }
                Some(Intent::Absent { spec, generation }) => {
                    let known = spec.and_then(|spec| specs.get(spec));
                    let removed = RemovedCompanion {
                        generation: Generation(generation),
                        hook: known.and_then(|spec| spec.hook.clone()),
                    };
                    desired.targets.insert(name.clone(), Target::Removed(removed));
                }
                None => {}
            }
        }
        Ok(desired)
    }
}
