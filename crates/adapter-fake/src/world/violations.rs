//! What no caller should ever do, kept as it happens.

use companion_core::model::companion::CompanionName;

use super::World;

/// The kinds of things that no caller should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationKind {
    /// It tried to write or remove a unit that is not ours. The store refused.
    ForeignUnitTouched,
    /// It tried to write configuration over something that is no file, or to remove it.
    ForeignConfigTouched,
    /// It started a unit whose name a stranger's container had: that container is gone.
    ForeignContainerReplaced,
    /// It tried to remove a stranger's container. The host refused.
    ForeignContainerTouched,
    /// It started a unit between writing it and reloading.
    StartBeforeReload,
    /// It started a unit whose image was not there.
    StartWithoutImage,
    /// It started a unit that mounts a file which was not there.
    StartWithoutConfig,
    /// It did something for a companion whose removal had been reported as finished.
    EffectAfterRemoval,
    /// It changed the host without holding its lock.
    EffectWithoutLock,
}

/// Something that no caller should do, and that one did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Violation {
    /// What was done.
    pub kind: ViolationKind,
    /// To which companion, if it was to one.
    pub companion: Option<CompanionName>,
    /// Whether the state that made it wrong arose after the caller's last look at it, so that no
    /// caller could have known.
    pub unforeseeable: bool,
}

/// What was tampered with since it was last read through the ports, or read from an older world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Unseen {
    pub(crate) file: bool,
    pub(crate) container: bool,
    pub(crate) image: bool,
    pub(crate) config: bool,
}

impl World {
    /// Everything that no caller should have done, in order.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How many containers of strangers a start has replaced, whoever started it.
    pub fn foreign_replaced(&self) -> u32 {
        self.foreign_replaced
    }

    /// Remembers that the removal of `name` was reported as finished: until it is wished for again,
    /// nothing may be made for it.
    pub fn removal_finished(&mut self, name: &CompanionName) {
        self.slot_mut(name).gone_for_good = true;
    }

    /// Forgets what was done so far that should not have been.
    pub fn forget_violations(&mut self) {
        self.violations.clear();
    }

    pub(crate) fn violate(
        &mut self,
        kind: ViolationKind,
        companion: Option<&CompanionName>,
        unforeseeable: bool,
    ) {
        self.violations.push(Violation { kind, companion: companion.cloned(), unforeseeable });
    }

    /// Keeps an effect that makes something for a companion which is gone for good.
    pub(crate) fn watch_removal(&mut self, name: &CompanionName) {
        if self.slot(name).is_some_and(|slot| slot.gone_for_good) {
            self.violate(ViolationKind::EffectAfterRemoval, Some(name), false);
        }
    }

    pub(crate) fn saw_file(&mut self, name: &CompanionName) {
        self.mark_seen(name, |unseen| unseen.file = false);
    }

    pub(crate) fn saw_container(&mut self, name: &CompanionName) {
        self.mark_seen(name, |unseen| unseen.container = false);
    }

    pub(crate) fn saw_image(&mut self, name: &CompanionName) {
        self.mark_seen(name, |unseen| unseen.image = false);
    }

    /// Configuration is read by hook, not by companion, so any reading counts for all.
    pub(crate) fn saw_configs(&mut self) {
        for slot in self.slots.values_mut() {
            slot.unseen.config = false;
        }
    }

    /// Remembers that a caller was shown the host as it was in `old`: of what differs, it cannot know.
    pub(crate) fn misled_by(&mut self, old: &Self) {
        let images = (&self.images.store, &old.images.store);
        let (images, configs) = (images.0 != images.1, self.files != old.files);
        for (name, slot) in &mut self.slots {
            let before = old.slots.get(name);
            let unseen = &mut slot.unseen;
            unseen.file |= before.map(|before| &before.file) != Some(&slot.file);
            unseen.file |= before.map(|before| &before.load) != Some(&slot.load);
            unseen.container |= before.map(|before| before.container) != Some(slot.container);
            unseen.image |= images;
            unseen.config |= configs;
        }
    }

    fn mark_seen(&mut self, name: &CompanionName, mark: impl FnOnce(&mut Unseen)) {
        if let Some(slot) = self.slots.get_mut(name) {
            mark(&mut slot.unseen);
        }
    }
}
