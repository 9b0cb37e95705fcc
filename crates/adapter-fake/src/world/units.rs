//! Unit files: the unit directory, and how units are validated, written and removed.

use std::collections::BTreeSet;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::container::{AbsolutePath, RestartPolicy};
use companion_core::model::image::ImageId;
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::{UnitFile, UnitFileState, UnitSpec};
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use super::World;
use super::conditions::{Disk, Generator};
use super::processes::DEFAULT_DELAY;
use super::violations::ViolationKind;

/// The unit directory.
pub const UNIT_DIRECTORY: &str = "/home/archipelago/.config/containers/systemd";
/// The directory before it in the search path.
pub const SHADOW_DIRECTORY: &str = "/run/user/1000/containers/systemd";

/// The modification of a managed unit after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// Nothing.
    None,
    /// Its contents were edited; ownership label and revision are unchanged.
    Edited,
    /// As above, and the generator rejects the new contents.
    Spoilt,
    /// It is writable by others.
    ModeChanged,
}

/// The contents of a managed unit, as far as modelled here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitText {
    /// A digest of its contents without restart epoch, rendering digest and the epoch of the rendered file.
    pub contents: Fingerprint,
    /// Its revision.
    pub revision: Revision,
    /// Its image.
    pub image: ImageId,
    /// Its mounted host paths.
    pub mounts: Vec<AbsolutePath>,
    /// Its restart policy.
    pub restart: RestartPolicy,
    /// Its restart delay.
    pub restart_delay: Duration,
    /// Its stop timeout.
    pub stop_timeout: Duration,
    /// Its modification since.
    pub damage: Damage,
}

impl UnitText {
    /// Returns the contents of `unit` as rendered by `renderer`.
    pub fn of(unit: &UnitSpec, renderer: u32) -> Self {
        let seconds = |seconds: Option<u32>, default| {
            seconds.map_or(default, |seconds| Duration::from_secs(seconds.into()))
        };
        let container = &unit.container;
        let mounts = container.mounts.iter().map(|mount| mount.source.clone());
        let contents = contents(unit, renderer);
        Self {
            contents,
            revision: unit.revision.with_rendering(Some(contents)),
            image: unit.image.clone(),
            mounts: mounts.collect(),
            restart: container.restart,
            restart_delay: seconds(container.restart_delay, DEFAULT_DELAY),
            stop_timeout: seconds(container.stop_timeout, Duration::from_secs(10)),
            damage: Damage::None,
        }
    }

    /// Returns whether it has the expected contents but is writable by others.
    fn is_exposed(&self) -> bool {
        self.damage == Damage::ModeChanged
    }

    /// Returns the same contents with the original mode.
    fn closed(&self) -> Self {
        Self { damage: Damage::None, ..self.clone() }
    }

    /// Returns the loaded unit; the file mode is irrelevant to the service manager.
    pub(crate) fn as_loaded(&self) -> Self {
        if self.is_exposed() { self.closed() } else { self.clone() }
    }

    /// Returns whether its bytes are unmodified.
    fn is_as_written(&self) -> bool {
        matches!(self.damage, Damage::None | Damage::ModeChanged)
    }

    /// Returns whether its bytes equal `unit` rendered by `renderer` with the file's restart epoch.
    pub fn says(&self, unit: &UnitSpec, renderer: u32) -> bool {
        self.damage == Damage::None
            && self.revision.same_contents(&unit.revision)
            && self.contents == contents(unit, renderer)
    }
}

fn contents(unit: &UnitSpec, renderer: u32) -> Fingerprint {
    let mut container = unit.container.clone();
    container.mounts.retain(|mount| Some(&mount.source) != unit.config.as_ref());
    let revision = unit.revision.with_restart_epoch(0).with_rendering(None).with_config_epoch(0);
    let said = (&unit.name, &unit.description, &unit.image, container, revision, renderer);
    Fingerprint::of(format!("{said:?}").as_bytes())
}

/// The file at a name in the unit directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnitBytes {
    /// A managed unit.
    Ours(UnitText),
    /// An unmanaged unit that the generator accepts.
    Unmanaged,
    /// An unmanaged unit that the generator rejects.
    Refused,
    /// An empty file, as left by an interrupted writer.
    Empty,
    /// Bytes that are not a unit, without the ownership label.
    Garbage,
    /// A directory.
    Directory,
    /// An unreadable file.
    Unreadable,
}

impl UnitBytes {
    /// Returns whether it may be written over: a managed unit, or a file without a byte.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_) | Self::Empty)
    }
}

/// The unit loaded by the last reload.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Load {
    /// No unit.
    #[default]
    NotFound,
    /// A managed unit.
    Ours(UnitText),
    /// An unmanaged unit from the unit directory.
    Unmanaged,
    /// An unmanaged unit from a directory with precedence.
    Shadow,
    /// The generator's output was invalid.
    Broken,
}

/// Returns the path of a unit that takes precedence over that of `name`.
pub(crate) fn shadow(name: &CompanionName) -> String {
    format!("{SHADOW_DIRECTORY}/{name}.container")
}

/// Returns the path of the unit of `name`.
pub fn location(name: &CompanionName) -> String {
    format!("{UNIT_DIRECTORY}/{name}.container")
}

impl World {
    /// Returns the file at `name`, compared with the expected unit `wanted`.
    ///
    /// # Errors
    /// `Denied` when it is unreadable.
    pub fn unit_file(
        &self,
        name: &CompanionName,
        wanted: Option<&UnitSpec>,
    ) -> PortResult<UnitFile> {
        let unmanaged = |what: &str| UnitFileState::Unmanaged { what: what.to_owned() };
        let renderer = self.renderer;
        let slot = self.slot(name);
        let state = match slot.and_then(|slot| slot.file.now()) {
            None if wanted.is_some() && slot.is_some_and(|slot| slot.shadowed) => {
                unmanaged(&format!("`{}`, which hides a unit", shadow(name)))
            }
            None => UnitFileState::Absent,
            Some(UnitBytes::Ours(text)) => {
                let revision = text.revision;
                match wanted {
                    Some(wanted) if text.says(wanted, renderer) => {
                        UnitFileState::Current { revision }
                    }
                    Some(wanted) if text.is_exposed() && text.closed().says(wanted, renderer) => {
                        UnitFileState::WrongMode { revision }
                    }
                    Some(_) | None if text.is_as_written() => UnitFileState::Outdated { revision },
                    Some(_) | None => UnitFileState::Drifted { revision: Some(revision) },
                }
            }
            Some(UnitBytes::Empty) => UnitFileState::Drifted { revision: None },
            Some(UnitBytes::Unmanaged | UnitBytes::Refused) => {
                unmanaged("a unit without the ownership label")
            }
            Some(UnitBytes::Garbage) => unmanaged("a file without the ownership label"),
            Some(UnitBytes::Directory) => unmanaged("a directory"),
            Some(UnitBytes::Unreadable) => {
                let message = format!("cannot read `{}`: permission denied", location(name));
                return Err(PortError::new(PortErrorKind::Denied, message));
            }
        };
        let rendering = wanted.map(|wanted| contents(wanted, renderer));
        let drop_ins = self.slot(name).map(|slot| slot.file_drop_ins(name)).unwrap_or_default();
        Ok(UnitFile { state, location: location(name), rendering, drop_ins })
    }

    /// Returns the names of all managed units.
    pub fn our_units(&self) -> BTreeSet<CompanionName> {
        let ours = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.file.now(), Some(UnitBytes::Ours(_))));
        ours.map(|(name, _)| name.clone()).collect()
    }

    /// Writes the file of `unit` without syncing; returns whether anything changed.
    ///
    /// # Errors
    /// `Conflict` for an unmanaged object, `Invalid` when the unit breaks a rule or the generator rejects it,
    /// `Unavailable` without a generator, `Transient` and `Denied` from the disk.
    pub fn write_unit(&mut self, unit: &UnitSpec) -> PortResult<bool> {
        let name = &unit.name;
        unit.container.validate().map_err(|error| {
            let message = format!("the unit of `{name}` breaks a rule: {error}");
            PortError::new(PortErrorKind::Invalid, message)
        })?;
        self.watch_removal(name);
        self.must_be_ours(name)?;
        self.must_be_free_elsewhere(name)?;
        let bytes = UnitBytes::Ours(UnitText::of(unit, self.renderer));
        if self.slot(name).and_then(|slot| slot.file.now()) == Some(&bytes) {
            return Ok(false);
        }
        self.validate(name)?;
        let same_bytes = self.same_bytes(name, &bytes);
        self.disk_takes(&location(name))?;
        let slot = self.slot_mut(name);
        slot.file.set(Some(bytes));
        slot.written_since_reload |= !same_bytes;
        Ok(true)
    }

    /// Returns whether `name` already has `bytes`, possibly with another mode.
    fn same_bytes(&self, name: &CompanionName, bytes: &UnitBytes) -> bool {
        match (self.slot(name).and_then(|slot| slot.file.now()), bytes) {
            (Some(UnitBytes::Ours(lies)), UnitBytes::Ours(text)) if lies.is_exposed() => {
                lies.closed() == *text
            }
            _ => false,
        }
    }

    /// Validates the unit of `name` with the generator, if configured.
    fn validate(&self, name: &CompanionName) -> PortResult<()> {
        if !self.conditions.validates {
            return Ok(());
        }
        if self.conditions.generator == Generator::Missing {
            let message = format!("cannot validate the unit of `{name}`: no generator found");
            return Err(PortError::new(PortErrorKind::Unavailable, message));
        }
        if self.slot(name).is_some_and(|slot| slot.refused) {
            let message = format!(
                "the generator refuses the unit of `{name}`: converting \"{name}.container\": unsupported key"
            );
            return Err(PortError::new(PortErrorKind::Invalid, message));
        }
        Ok(())
    }

    /// Removes the file of `name` without syncing; returns whether it existed.
    ///
    /// # Errors
    /// `Conflict` for an unmanaged object, `Unavailable` on a read-only disk, `Denied` on one that denies writes.
    pub fn remove_unit(&mut self, name: &CompanionName) -> PortResult<bool> {
        if self.slot(name).is_none_or(|slot| slot.file.now().is_none()) {
            return Ok(false);
        }
        self.must_be_ours(name)?;
        if self.conditions.disk != Disk::Full {
            self.disk_takes(&location(name))?;
        }
        self.slot_mut(name).file.set(None);
        Ok(true)
    }

    /// Fails if a new file at `name` would be hidden.
    fn must_be_free_elsewhere(&mut self, name: &CompanionName) -> PortResult<()> {
        let Some(slot) = self.slot(name).filter(|slot| slot.shadowed && slot.file.now().is_none())
        else {
            return Ok(());
        };
        let unforeseeable = slot.unseen.file;
        self.violate(ViolationKind::UnmanagedUnitTouched, Some(name), unforeseeable);
        let message = format!("the name of `{name}` is taken by `{}`", shadow(name));
        Err(PortError::new(PortErrorKind::Conflict, message))
    }

    fn must_be_ours(&mut self, name: &CompanionName) -> PortResult<()> {
        let Some(slot) = self.slot(name) else {
            return Ok(());
        };
        match slot.file.now() {
            Some(UnitBytes::Unreadable) => {
                let message = format!("cannot read `{}`: permission denied", location(name));
                return Err(PortError::new(PortErrorKind::Denied, message));
            }
            Some(bytes) if !bytes.is_ours() => {}
            Some(_) | None => return Ok(()),
        }
        let unforeseeable = slot.unseen.file;
        self.violate(ViolationKind::UnmanagedUnitTouched, Some(name), unforeseeable);
        let message = format!("`{}` is unmanaged", location(name));
        Err(PortError::new(PortErrorKind::Conflict, message))
    }
}
