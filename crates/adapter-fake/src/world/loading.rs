//! Loading: how a reload loads the unit directory.

use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use super::conditions::Generator;
use super::services::{Phase, Service};
use super::units::{Damage, Load, UnitBytes};
use super::{Slot, World};

impl World {
    /// Loads all units from the unit directory as it is now; starts and stops nothing.
    ///
    /// An invalid unit does not fail the reload.
    ///
    /// # Errors
    /// `Unavailable` without a service manager, or without a generator while managed units exist; `Conflict`
    /// while an unmanaged file would unload them; `Transient` when the reload limit is hit. Then nothing was
    /// reloaded.
    pub fn reload(&mut self, now: Duration) -> PortResult<()> {
        self.advance(now);
        self.hold_back_a_loss()?;
        self.needs_bus()?;
        if let Some(limit) = self.conditions.reload_limit
            && !self.reloads.allows(now, limit)
        {
            let message = "the service manager refused to reload: too many reloads";
            return Err(PortError::new(PortErrorKind::Transient, message));
        }
        self.load_units();
        Ok(())
    }

    /// Refuses a reload that would unload managed units.
    fn hold_back_a_loss(&self) -> PortResult<()> {
        let refuse = |kind, message| Err(PortError::new(kind, message));
        if self.our_units().is_empty() {
            return Ok(());
        }
        if self.conditions.generator == Generator::Missing {
            let message = "cannot check which units a reload would unload: no generator found";
            return refuse(PortErrorKind::Unavailable, message);
        }
        if self.unreadable_to_generator() {
            let message = "reload refused: it would unload units; fix the broken file first";
            return refuse(PortErrorKind::Conflict, message);
        }
        Ok(())
    }

    /// Returns whether the unit directory contains a file that the generator cannot read or parse: it then
    /// generates no unit. A rejected file does not affect others.
    fn unreadable_to_generator(&self) -> bool {
        let unreadable = |slot: &Slot| {
            matches!(
                slot.file.now(),
                Some(UnitBytes::Garbage | UnitBytes::Directory | UnitBytes::Unreadable)
            )
        };
        self.conditions.broken_unmanaged_file || self.slots.values().any(unreadable)
    }

    /// Loads what was written, on a host without a separate loaded stage.
    pub(crate) fn take_effect(&mut self) {
        if !self.conditions.traits.loads_units {
            self.load_units();
        }
    }

    /// Reloads, for any caller.
    pub(crate) fn load_units(&mut self) {
        let generator = match self.conditions.generator {
            _ if !self.conditions.traits.loads_units => Generator::Works,
            // It generates nothing, as if it were missing.
            Generator::Works if self.unreadable_to_generator() => Generator::Missing,
            generator => generator,
        };
        for slot in self.slots.values_mut() {
            let load = loaded(slot, generator);
            slot.unseen.service |= load != slot.load;
            slot.load = load;
            slot.written_since_reload = false;
            slot.drop_ins.loaded = slot.drop_ins.of_service && slot.load != Load::NotFound;
            let collected = slot.load == Load::NotFound && slot.service.phase == Phase::Dead;
            if collected {
                // An inactive unit without a file is unloaded, including its start counter.
                slot.service = Service::default();
            }
        }
        if generator == Generator::CorruptsOnce {
            self.conditions.generator = Generator::Works;
        }
    }

    pub(crate) fn needs_bus(&self) -> PortResult<()> {
        if self.conditions.bus {
            return Ok(());
        }
        let message = "the service manager cannot be reached: no such file or directory";
        Err(PortError::new(PortErrorKind::Unavailable, message))
    }

    /// Returns whether the service manager can start `name`.
    pub(crate) fn is_startable(&self, name: &CompanionName) -> bool {
        self.slot(name).is_some_and(|slot| {
            let loaded = matches!(slot.load, Load::Ours(_) | Load::Unmanaged | Load::Shadow);
            loaded && !slot.masked
        })
    }
}

fn loaded(slot: &Slot, generator: Generator) -> Load {
    if slot.shadowed {
        return Load::Shadow;
    }
    let taken = match slot.file.now() {
        Some(UnitBytes::Ours(text)) if text.damage != Damage::Spoilt && !slot.refused => {
            Load::Ours(text.as_loaded())
        }
        Some(UnitBytes::Unmanaged) => Load::Unmanaged,
        Some(
            UnitBytes::Ours(_)
            | UnitBytes::Refused
            | UnitBytes::Empty
            | UnitBytes::Garbage
            | UnitBytes::Directory
            | UnitBytes::Unreadable,
        )
        | None => return Load::NotFound,
    };
    match generator {
        Generator::Works => taken,
        Generator::Missing => Load::NotFound,
        Generator::CorruptsOnce => Load::Broken,
    }
}
