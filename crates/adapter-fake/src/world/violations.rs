//! What no caller should ever do, kept as it happens.

use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{ConfigId, HookSpec};
use companion_core::model::image::ImageId;

use super::World;
use super::files::RenderedFile;
use super::units::{Load, UnitBytes};

/// The kinds of things that no caller should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationKind {
    /// It tried to write or remove a unit that is not ours. The store refused.
    UnmanagedUnitTouched,
    /// It rendered configuration for a place where something lies that is no file, or tried to remove
    /// that.
    UnmanagedConfigTouched,
    /// It asked for a start, a stop, a restart or a reset of a stranger's service.
    UnmanagedServiceTouched,
    /// It started a unit whose name a stranger's container had: that container is gone.
    UnmanagedContainerReplaced,
    /// It tried to remove a stranger's container. The host refused.
    UnmanagedContainerTouched,
    /// It started a unit between writing it and reloading.
    StartBeforeReload,
    /// It started a unit whose image was not there.
    StartWithoutImage,
    /// It started a unit that mounts a file which was not there.
    StartWithoutConfig,
    /// It swept a rendered file, or pruned an image, that the loaded unit names.
    UsedInputRemoved,
    /// It restarted what a restart could not change.
    RestartWithoutCause,
    /// It did something for a companion whose removal had been reported as finished.
    EffectAfterRemoval,
    /// It changed the host without leading it.
    EffectWithoutLeader,
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
    /// What is loaded, what runs of it, or whether it is frozen.
    pub(crate) service: bool,
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
    pub fn unmanaged_replaced(&self) -> u32 {
        self.unmanaged_replaced
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

    /// Keeps what is asked of a service that is somebody else's: one that is loaded from a unit of
    /// theirs, and of which what runs is not ours either.
    ///
    /// Where its file was emptied since, it cannot be told from a service of ours from before there
    /// were revisions.
    pub(crate) fn watch_service(&mut self, name: &CompanionName) {
        let Some(slot) = self.slot(name) else { return };
        let ours_runs = slot.service.run.is_some_and(|run| run.revision.is_some());
        let silent = slot.load == Load::Unmanaged && slot.file.now() == Some(&UnitBytes::Empty);
        if matches!(slot.load, Load::Unmanaged | Load::Shadow) && !ours_runs && !silent {
            let unforeseeable = slot.unseen.file || slot.unseen.service;
            self.violate(ViolationKind::UnmanagedServiceTouched, Some(name), unforeseeable);
        }
    }

    /// Keeps a restart that changes nothing.
    pub(crate) fn watch_restart(&mut self, name: &CompanionName) {
        let Some(slot) = self.slot(name) else { return };
        if self.restart_changes_nothing(slot) {
            let unforeseeable = slot.unseen.service;
            self.violate(ViolationKind::RestartWithoutCause, Some(name), unforeseeable);
        }
    }

    /// Keeps a rendering or a removal of what is no file, for the companion whose hook it is.
    pub(crate) fn watch_config(&mut self, hook: &HookSpec, owner: Option<&CompanionName>) {
        if self.files.rendered(&hook.output) == Some(RenderedFile::Directory) {
            let slot = owner.and_then(|owner| self.slot(owner));
            let unforeseeable = slot.is_some_and(|slot| slot.unseen.config);
            self.violate(ViolationKind::UnmanagedConfigTouched, owner, unforeseeable);
        }
    }

    /// Keeps a sweep that takes a rendered file which the owner's loaded unit mounts.
    pub(crate) fn watch_sweep(
        &mut self,
        hook: &HookSpec,
        keep: ConfigId,
        owner: Option<&CompanionName>,
    ) {
        let keep = keep.path(&hook.output);
        let is_removed = |path: &AbsolutePath| {
            let beside = path.as_str().strip_prefix(hook.output.as_str());
            beside.is_some_and(|name| name.starts_with('.')) && *path != keep
        };
        let slot = owner.and_then(|owner| self.slot(owner));
        let mounts = slot.map(|slot| (&slot.load, slot.unseen.file || slot.unseen.service));
        if let Some((Load::Ours(text), unforeseeable)) = mounts
            && text.mounts.iter().any(is_removed)
        {
            self.violate(ViolationKind::UsedInputRemoved, owner, unforeseeable);
        }
    }

    /// Keeps a removal of an image that the loaded unit of any companion names.
    pub(crate) fn watch_prune(&mut self, images: &[ImageId]) {
        let uses = self.slots.iter().filter_map(|(name, slot)| match &slot.load {
            Load::Ours(text) if images.contains(&text.image) => {
                Some((name.clone(), slot.unseen.file || slot.unseen.service))
            }
            _ => None,
        });
        for (name, unforeseeable) in Vec::from_iter(uses) {
            self.violate(ViolationKind::UsedInputRemoved, Some(&name), unforeseeable);
        }
    }

    pub(crate) fn saw_file(&mut self, name: &CompanionName) {
        self.mark_seen(name, |unseen| unseen.file = false);
    }

    pub(crate) fn saw_service(&mut self, name: &CompanionName) {
        self.mark_seen(name, |unseen| unseen.service = false);
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
            unseen.service |= before.map(|before| (&before.load, &before.service))
                != Some((&slot.load, &slot.service));
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
