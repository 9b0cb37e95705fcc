//! Checks whether the host matches the desired state, independent of the planner.

use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::desired::{DesiredCompanion, Generation};
use companion_core::model::hook::{Link, Rendering};
use companion_core::model::image::PresentImage;

use super::containers::{Container, Status};
use super::desired::{Intent, Specs};
use super::services::{Phase, Run};
use super::units::{Load, UnitBytes};
use super::{Slot, World};

/// The first difference of a companion from the desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mismatch {
    /// Its image is missing or outdated.
    Image,
    /// Its rendered file is missing, stale or has the wrong mode, or its output does not link to it.
    Config,
    /// Its unit file differs from the expected one.
    UnitFile,
    /// The service manager has not loaded its unit file.
    Loaded,
    /// It does not run.
    Down,
    /// The running process was started from something else.
    Running,
    /// It is frozen.
    Paused,
    /// It is pending deletion, but something remains.
    LeftBehind,
}

impl World {
    /// Returns the first companion that differs from the desired state, and how.
    ///
    /// `None` means converged: every desired companion runs from its current image, configuration and unit, and
    /// nothing remains of removed ones. It considers only the visible state, not what a power loss would
    /// restore.
    pub fn mismatch(&self, specs: &Specs) -> Option<(CompanionName, Mismatch)> {
        let mut names = self.slots.keys();
        names.find_map(|name| Some((name.clone(), self.mismatch_at(name, specs)?)))
    }

    /// As above for `name` alone; `None` too if there is no intent for it.
    pub fn mismatch_at(&self, name: &CompanionName, specs: &Specs) -> Option<Mismatch> {
        let slot = self.slot(name)?;
        match slot.intent? {
            Intent::Exists { spec, .. } => self.mismatch_of(slot, specs.get(spec)?),
            Intent::Absent { spec, .. } => self.rest_of(slot, spec.and_then(|id| specs.get(id))),
        }
    }

    fn mismatch_of(&self, slot: &Slot, spec: &CompanionSpec) -> Option<Mismatch> {
        let Some(image) = self.current_image(spec) else {
            return Some(Mismatch::Image);
        };
        let config = match &spec.hook {
            None => None,
            Some(hook) => match self.hook_state(hook) {
                Ok(state) if matches!(state.rendering, Rendering::Known(_)) => {
                    match state.usable(&[]) {
                        Ok(id) if state.link == Link::To(id) => Some(id),
                        Ok(_) | Err(_) => return Some(Mismatch::Config),
                    }
                }
                Ok(_) | Err(_) => return Some(Mismatch::Config),
            },
        };
        let wanted = DesiredCompanion::new(spec.clone(), Generation::default());
        let unit = wanted.unit(&image.id, wanted.revision(&image, config));
        let Some(UnitBytes::Ours(text)) = slot.file.now() else {
            return Some(Mismatch::UnitFile);
        };
        if !text.says(&unit, self.renderer) {
            return Some(Mismatch::UnitFile);
        }
        if slot.load != Load::Ours(text.clone()) || slot.masked {
            return Some(Mismatch::Loaded);
        }
        // A service about to crash does not count as running.
        let (Phase::Running { ends: None }, Some(run)) = (slot.service.phase, slot.service.run)
        else {
            return Some(Mismatch::Down);
        };
        let true_run = Run {
            revision: Some(text.revision),
            contents: Some(text.contents),
            tampered: false,
            image: self.images.find(&image.id),
            config: text.mounts.iter().find_map(|path| self.files.content(path)),
        };
        if run != true_run {
            return Some(Mismatch::Running);
        }
        let running = slot
            .container
            .is_some_and(|container| container.ours && container.status == Status::Running);
        (!running).then_some(Mismatch::Paused)
    }

    fn current_image(&self, spec: &CompanionSpec) -> Option<PresentImage> {
        let state = self.image_state(&spec.image).ok()?;
        let current = state.is_current();
        state.present.filter(|_| current)
    }

    /// Returns whether the process in `slot` was started from the loaded unit and the current file. An
    /// unverified process reports another restart epoch than its unit; a missing file does not affect the
    /// process.
    pub(crate) fn restart_changes_nothing(&self, slot: &Slot) -> bool {
        let (Load::Ours(text), Phase::Running { ends: None }, Some(run)) =
            (&slot.load, slot.service.phase, slot.service.run)
        else {
            return false;
        };
        let mounted = text.mounts.iter().find_map(|path| self.files.content(path));
        let up = |container: Container| container.ours && container.status == Status::Running;
        run.revision == Some(text.revision)
            && run.contents == Some(text.contents)
            && !run.tampered
            && mounted.is_none_or(|content| run.config == Some(content))
            && slot.container.is_some_and(up)
    }

    fn rest_of(&self, slot: &Slot, spec: Option<&CompanionSpec>) -> Option<Mismatch> {
        let hook = spec.and_then(|spec| spec.hook.as_ref());
        let config = hook.is_some_and(|hook| self.files.has_rendered(&hook.output));
        let file = matches!(slot.file.now(), Some(UnitBytes::Ours(_)));
        // A process of an unmanaged unit is unmanaged.
        let runs = slot.service.run.is_some_and(|run| run.revision.is_some());
        let unit = matches!(slot.load, Load::Ours(_)) || runs;
        let container = slot.container.is_some_and(|container| container.ours);
        let rest = config || file || unit || container;
        rest.then_some(Mismatch::LeftBehind)
    }
}
