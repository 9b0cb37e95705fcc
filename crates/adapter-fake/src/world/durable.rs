//! What a loss of power leaves of things that are written one after the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::HookSpec;

use super::World;

/// A name in a directory: what a reader finds there now, and what a loss of power could leave.
///
/// Each change of it is whole or absent after a loss of power, because the bytes of a file are synced
/// before it gets its name. Of the changes that were made since the directory was last synced, any
/// may be lost, and the last one that is not decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Durable<T> {
    synced: Option<T>,
    /// The changes since, the oldest first; a reader sees the last.
    pending: Vec<Option<T>>,
}

impl<T> Default for Durable<T> {
    fn default() -> Self {
        Self { synced: None, pending: Vec::new() }
    }
}

impl<T> Durable<T> {
    /// What lies there, and survives a loss of power.
    pub fn synced(value: Option<T>) -> Self {
        Self { synced: value, pending: Vec::new() }
    }
}

impl<T: Clone + PartialEq> Durable<T> {
    /// What a reader sees.
    pub fn now(&self) -> Option<&T> {
        self.pending.last().unwrap_or(&self.synced).as_ref()
    }

    /// Whether a loss of power would leave what a reader sees, whatever else it takes.
    pub fn is_synced(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many changes a loss of power could take.
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

    /// Loses the changes that were not synced; the first `kept` of them were written out by chance.
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

/// Makes the `places` in `directory` survive a loss of power, and forgets those where nothing is left.
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
    /// How many different outcomes a loss of power could have now: 1 when everything is synced.
    pub fn power_loss_outcomes(&self) -> u64 {
        let files = self.slots.values().map(|slot| slot.file.pending());
        let configs = self.files.rendered.values().map(Durable::pending);
        let outputs = self.files.outputs.values().map(Durable::pending);
        let record = usize::from(self.record_before.is_some());
        files.chain(configs).chain(outputs).chain([record]).fold(1_u64, |product, pending| {
            product.saturating_mul(u64::try_from(pending).unwrap_or(u64::MAX).saturating_add(1))
        })
    }

    /// As [`power_loss`](Self::power_loss), with one of the outcomes that it could have.
    ///
    /// Outcome 0 loses all that was not synced, the last one nothing, and those between lose some of
    /// it: what was written later may survive what was written earlier, unless both had one name. Any
    /// number is an outcome; those from [`power_loss_outcomes`](Self::power_loss_outcomes) on begin
    /// anew.
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
        self.sync_record();
        self.fall();
        self.boot(now);
    }

    /// Makes all unit files survive a loss of power: what is synced is their directory.
    pub fn sync_units(&mut self) {
        for slot in self.slots.values_mut() {
            slot.file.sync();
        }
    }

    /// Makes what lies at the hook's output survive a loss of power, and with it all that lies in
    /// the same directory.
    pub fn sync_rendered(&mut self, hook: &HookSpec) {
        let directory = Path::new(hook.output.as_str()).parent();
        sync_in(directory, &mut self.files.rendered);
        sync_in(directory, &mut self.files.outputs);
    }
}
