//! Violations: actions that no caller may do, recorded when they happen.

use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{ConfigId, HookSpec};
use companion_core::model::image::ImageId;

use super::World;
use super::units::{Load, UnitBytes};

/// The kinds of violations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationKind {
    /// It tried to write or remove an unmanaged unit. The store refused.
    UnmanagedUnitTouched,
    /// It rendered configuration to an output that is not a file, or tried to remove it.
    UnmanagedConfigTouched,
    /// It requested a start, stop, restart or reset of an unmanaged service.
    UnmanagedServiceTouched,
    /// It started a unit and thereby replaced an unmanaged container.
    UnmanagedContainerReplaced,
    /// It tried to remove an unmanaged container. The host refused.
    UnmanagedContainerTouched,
    /// It started a unit between a write and its reload, from another text than the written one.
    StartBeforeReload,
    /// It started a unit with a missing image.
    StartWithoutImage,
    /// It started a unit with a missing mount source.
    StartWithoutConfig,
    /// It removed a rendered file or an image named by a loaded unit.
    UsedInputRemoved,
    /// It restarted a service without effect.
    RestartWithoutCause,
    /// It changed something for a companion whose removal was reported as finished.
    EffectAfterRemoval,
    /// It changed the host without leadership.
    EffectWithoutLeader,
}

/// A violation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Violation {
    /// Its kind.
    pub kind: ViolationKind,
    /// The companion, if it concerns one.
    pub companion: Option<CompanionName>,
    /// Whether the conflicting state appeared after the caller's last read, so that it could not know.
    pub unforeseeable: bool,
}

/// State modified since its last read through the ports, or read from an older world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Unseen {
    pub(crate) file: bool,
    /// The loaded unit, the process, or whether it is paused.
    pub(crate) service: bool,
    pub(crate) container: bool,
    pub(crate) image: bool,
    pub(crate) config: bool,
}

impl World {
    /// Returns all violations, in order.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Returns the number of unmanaged containers replaced by starts.
    pub fn unmanaged_replaced(&self) -> u32 {
        self.unmanaged_replaced
    }

    /// Records that the removal of `name` was reported as finished: until the next intent, nothing may be
    /// created for it.
    pub fn removal_finished(&mut self, name: &CompanionName) {
        self.slot_mut(name).removed_for_good = true;
    }

    /// Clears the violations.
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

    /// Records a change for a removed companion.
    pub(crate) fn watch_removal(&mut self, name: &CompanionName) {
        if self.slot(name).is_some_and(|slot| slot.removed_for_good) {
            self.violate(ViolationKind::EffectAfterRemoval, Some(name), false);
        }
    }

    /// Records a request to an unmanaged service: one loaded from an unmanaged unit, with an unmanaged process.
    ///
    /// If its file was emptied since, it looks like a managed service of a release without revisions.
    pub(crate) fn watch_service(&mut self, name: &CompanionName) {
        let Some(slot) = self.slot(name) else { return };
        let ours_runs = slot.service.run.is_some_and(|run| run.revision.is_some());
        let silent = slot.load == Load::Unmanaged && slot.file.now() == Some(&UnitBytes::Empty);
        if matches!(slot.load, Load::Unmanaged | Load::Shadow) && !ours_runs && !silent {
            let unforeseeable = slot.unseen.file || slot.unseen.service;
            self.violate(ViolationKind::UnmanagedServiceTouched, Some(name), unforeseeable);
        }
    }

    /// Records a restart without effect.
    pub(crate) fn watch_restart(&mut self, name: &CompanionName) {
        let Some(slot) = self.slot(name) else { return };
        if self.restart_changes_nothing(slot) {
            let unforeseeable = slot.unseen.service;
            self.violate(ViolationKind::RestartWithoutCause, Some(name), unforeseeable);
        }
    }

    /// Records a rendering to, or removal of, an output that is not a file, for the companion of the hook.
    pub(crate) fn watch_config(&mut self, hook: &HookSpec, owner: Option<&CompanionName>) {
        if self.files.is_directory(&hook.output) {
            let slot = owner.and_then(|owner| self.slot(owner));
            let unforeseeable = slot.is_some_and(|slot| slot.unseen.config);
            self.violate(ViolationKind::UnmanagedConfigTouched, owner, unforeseeable);
        }
    }

    /// Records a sweep of a rendered file mounted by the companion's loaded unit.
    pub(crate) fn watch_sweep(
        &mut self,
        hook: &HookSpec,
        keep: ConfigId,
        owner: Option<&CompanionName>,
    ) {
        let keep = keep.path(&hook.output);
        let is_removed = |path: &AbsolutePath| {
            let rest = path.as_str().strip_prefix(hook.output.as_str());
            rest.is_some_and(|name| name.starts_with('.')) && *path != keep
        };
        let slot = owner.and_then(|owner| self.slot(owner));
        let mounts = slot.map(|slot| (&slot.load, slot.unseen.file || slot.unseen.service));
        if let Some((Load::Ours(text), unforeseeable)) = mounts
            && text.mounts.iter().any(is_removed)
        {
            self.violate(ViolationKind::UsedInputRemoved, owner, unforeseeable);
        }
    }

    /// Records the removal of an image named by any loaded unit.
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

    /// Configuration is read per hook, not per companion, so any read counts for all.
    pub(crate) fn saw_configs(&mut self) {
        for slot in self.slots.values_mut() {
            slot.unseen.config = false;
        }
    }

    /// Records that a caller saw the host as in `old`: it cannot know the differences.
    pub(crate) fn misled_by(&mut self, old: &Self) {
        let images =
            (&self.images.store, &self.images.damaged) != (&old.images.store, &old.images.damaged);
        let (images, configs) = (images, self.files != old.files);
        for (name, slot) in &mut self.slots {
            let before = old.slots.get(name);
            let unseen = &mut slot.unseen;
            unseen.file |= before.map(|before| &before.file) != Some(&slot.file);
            unseen.file |= before.map(|before| &before.load) != Some(&slot.load);
            unseen.file |= before.is_some_and(|before| before.shadowed) != slot.shadowed;
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
