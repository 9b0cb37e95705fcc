//! Durability: which writes survive a power loss.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::HookSpec;

use super::World;

/// A directory entry: its current value, and the values possible after a power loss.
///
/// Each change is complete or absent after a power loss, because a file is synced before its rename. Any change
/// since the last sync of the directory may be lost; the last surviving one decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Durable<T> {
    synced: Option<T>,
    /// The changes since the last sync, oldest first; a reader sees the last.
    pending: Vec<Option<T>>,
}

impl<T> Default for Durable<T> {
    fn default() -> Self {
        Self { synced: None, pending: Vec::new() }
    }
}

impl<T> Durable<T> {
    /// The value that survives a power loss.
    pub fn synced(value: Option<T>) -> Self {
        Self { synced: value, pending: Vec::new() }
    }
}

impl<T: Clone + PartialEq> Durable<T> {
    /// Returns the value that a reader sees.
    pub fn now(&self) -> Option<&T> {
        self.pending.last().unwrap_or(&self.synced).as_ref()
    }

    /// Returns whether the visible value survives every power loss.
    pub fn is_synced(&self) -> bool {
        self.pending.is_empty()
    }

    /// Returns the number of changes that a power loss could drop.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn set(&mut self, value: Option<T>) {
        if self.now() != value.as_ref() {
            self.pending.push(value);
        }
    }

    pub(crate) fn sync(&mut self) {
        if let Some(last) = self.pending.pop() {
            self.synced = last;
            self.pending.clear();
        }
    }

    pub(crate) fn set_synced(&mut self, value: Option<T>) {
        self.synced = value;
        self.pending.clear();
    }

    /// Drops the unsynced changes except the first `kept`.
    pub(crate) fn lose(&mut self, kept: usize) {
        self.pending.truncate(kept);
        self.sync();
    }
}

/// Takes the last digit of `rest` in a number system of `pending` + 1 digits.
fn digit(rest: &mut u64, pending: usize) -> usize {
    let digits = u64::try_from(pending).unwrap_or(u64::MAX).saturating_add(1);
    let digit = *rest % digits;
    *rest /= digits;
    usize::try_from(digit).unwrap_or(0)
}

/// Syncs the `places` in `directory`, and drops empty ones.
fn sync_in<T: Clone + PartialEq>(
    directory: Option<&Path>,
    places: &mut BTreeMap<AbsolutePath, Durable<T>>,
) {
    places.retain(|path, place| {
        if Path::new(path.as_str()).parent() == directory {
            place.sync();
        }
        place.now().is_some() || !place.is_synced()
    });
}

impl World {
    /// Returns the number of possible outcomes of a power loss now: 1 if everything is synced.
    pub fn power_loss_outcomes(&self) -> u64 {
        let files = self.slots.values().map(|slot| slot.file.pending());
        let configs = self.files.rendered.values().map(Durable::pending);
        let outputs = self.files.outputs.values().map(Durable::pending);
        let record = usize::from(self.record_before.is_some());
        let images = usize::from(!self.images.unsynced.is_empty());
        files.chain(configs).chain(outputs).chain([record, images]).fold(
            1_u64,
            |product, pending| {
                product.saturating_mul(u64::try_from(pending).unwrap_or(u64::MAX).saturating_add(1))
            },
        )
    }

    /// As [`power_loss`](Self::power_loss), with one of the possible outcomes.
    ///
    /// Outcome 0 loses all unsynced changes, the last one none, and those between lose some: a later change may
    /// survive an earlier one, unless both have the same name. Numbers are taken modulo
    /// [`power_loss_outcomes`](Self::power_loss_outcomes).
    pub fn power_loss_leaving(&mut self, outcome: u64, now: Duration) {
        self.advance(now);
        let mut rest = outcome % self.power_loss_outcomes();
        for slot in self.slots.values_mut() {
            slot.file.lose(digit(&mut rest, slot.file.pending()));
        }
        for place in self.files.rendered.values_mut() {
            place.lose(digit(&mut rest, place.pending()));
        }
        self.files.rendered.retain(|_, place| place.now().is_some());
        for place in self.files.outputs.values_mut() {
            place.lose(digit(&mut rest, place.pending()));
        }
        self.files.outputs.retain(|_, place| place.now().is_some());
        if digit(&mut rest, usize::from(self.record_before.is_some())) == 0 {
            self.lose_unsynced_record();
        }
        if digit(&mut rest, usize::from(!self.images.unsynced.is_empty())) == 0 {
            self.images.lose_unsynced();
        }
        self.sync_images();
        self.sync_record();
        self.fall();
        self.boot(now);
    }

    /// Syncs the unit directory, so that all unit files survive a power loss.
    pub fn sync_units(&mut self) {
        for slot in self.slots.values_mut() {
            slot.file.sync();
        }
    }

    /// Syncs the image store, so that all images survive a power loss.
    pub fn sync_images(&mut self) {
        self.images.unsynced.clear();
    }

    /// Syncs the directory of the hook's output.
    pub fn sync_rendered(&mut self, hook: &HookSpec) {
        let directory = Path::new(hook.output.as_str()).parent();
        sync_in(directory, &mut self.files.rendered);
        sync_in(directory, &mut self.files.outputs);
    }
}
