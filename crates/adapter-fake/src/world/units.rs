//! Unit files: what lies in the unit directory, and how it is judged, written and removed.

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
use super::violations::ViolationKind;

/// The directory that units lie in.
pub const UNIT_DIRECTORY: &str = "/home/archipelago/.config/containers/systemd";
/// The directory that comes before it in the search path.
pub const SHADOW_DIRECTORY: &str = "/run/user/1000/containers/systemd";

/// When a service that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Restart {
    /// Whenever it ends.
    Always,
    /// When it ends with an error.
    OnFailure,
    /// Never.
    No,
}

/// What was done to a unit of ours after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// Nothing.
    None,
    /// It says something else, and still carries our mark and its revision.
    Edited,
    /// The same, and the generator does not take what it says now.
    Spoilt,
    /// Everyone may write it.
    ModeChanged,
}

/// What a unit of ours says, as far as anything here depends on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitText {
    /// A digest of all that it says except its revision's restart epoch and rendering, and the epoch of
    /// the rendered file.
    pub contents: Fingerprint,
    /// The revision that it names.
    pub revision: Revision,
    /// The image that it starts.
    pub image: ImageId,
    /// The paths of the host that it mounts.
    pub mounts: Vec<AbsolutePath>,
    /// When it is started again.
    pub restart: Restart,
    /// How long after its end.
    pub restart_delay: Duration,
    /// How long it may take to stop.
    pub stop_timeout: Duration,
    /// What was done to it since.
    pub damage: Damage,
}

impl UnitText {
    /// What the file of `unit` says in the words of `renderer`, under the rendering of those words.
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
            restart: match container.restart {
                RestartPolicy::Always => Restart::Always,
                RestartPolicy::OnFailure => Restart::OnFailure,
                RestartPolicy::No => Restart::No,
            },
            restart_delay: seconds(container.restart_delay, Duration::from_millis(100)),
            stop_timeout: seconds(container.stop_timeout, Duration::from_secs(10)),
            damage: Damage::None,
        }
    }

    /// Whether it says what it should, and everyone may write it.
    fn is_exposed(&self) -> bool {
        self.damage == Damage::ModeChanged
    }

    /// The same under the mode that it was written with.
    fn closed(&self) -> Self {
        Self { damage: Damage::None, ..self.clone() }
    }

    /// What the service manager makes of it: a mode is nothing to it.
    pub(crate) fn as_loaded(&self) -> Self {
        if self.is_exposed() { self.closed() } else { self.clone() }
    }

    /// Whether its bytes are those that were once written.
    fn is_as_written(&self) -> bool {
        matches!(self.damage, Damage::None | Damage::ModeChanged)
    }

    /// Whether it says, byte for byte, what `unit` would in the words of `renderer` under the
    /// restart epoch that it names.
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

/// What lies in the unit directory at a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitBytes {
    /// A unit that carries our mark.
    Ours(UnitText),
    /// Somebody else's unit, which the generator takes.
    Unmanaged,
    /// Somebody else's unit, which the generator refuses.
    Refused,
    /// A file without a byte: nobody's work, and what an interrupted writer leaves.
    Empty,
    /// Bytes that are no unit, without our mark.
    Garbage,
    /// A directory.
    Directory,
    /// A file that must not be read.
    Unreadable,
}

/// What the service manager made of a unit at the last reload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Load {
    /// There is no such unit.
    #[default]
    NotFound,
    /// A unit of ours.
    Ours(UnitText),
    /// Somebody else's, from the unit directory.
    Unmanaged,
    /// Somebody else's, from a directory that comes first.
    Shadow,
    /// The generator's output made no sense to the service manager.
    Broken,
}

/// Where the store keeps the unit of `name`.
pub fn location(name: &CompanionName) -> String {
    format!("{UNIT_DIRECTORY}/{name}.container")
}

impl World {
    /// What lies in the unit directory at `name`, compared with the unit `wanted` there.
    ///
    /// # Errors
    /// `Denied` when it must not be read.
    pub fn unit_file(
        &self,
        name: &CompanionName,
        wanted: Option<&UnitSpec>,
    ) -> PortResult<UnitFile> {
        let unmanaged = |what: &str| UnitFileState::Unmanaged { what: what.to_owned() };
        let renderer = self.renderer;
        let state = match self.slot(name).and_then(|slot| slot.file.now()) {
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
            Some(UnitBytes::Unmanaged | UnitBytes::Refused) => unmanaged("a unit without our mark"),
            Some(UnitBytes::Garbage) => unmanaged("a file without our mark"),
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

    /// The names of all units that are ours.
    pub fn our_units(&self) -> BTreeSet<CompanionName> {
        let ours = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.file.now(), Some(UnitBytes::Ours(_))));
        ours.map(|(name, _)| name.clone()).collect()
    }

    /// Writes the file of `unit`, not yet durably; says whether anything changed.
    ///
    /// # Errors
    /// `Conflict` over something unmanaged, `Invalid` when the unit breaks a rule or the generator refuses it,
    /// `Unavailable` without a generator to ask, `Transient` and `Denied` from the disk.
    pub fn write_unit(&mut self, unit: &UnitSpec) -> PortResult<bool> {
        let name = &unit.name;
        unit.container.validate().map_err(|error| {
            let message = format!("the unit of `{name}` breaks a rule: {error}");
            PortError::new(PortErrorKind::Invalid, message)
        })?;
        self.watch_removal(name);
        self.must_be_ours(name)?;
        let bytes = UnitBytes::Ours(UnitText::of(unit, self.renderer));
        if self.slot(name).and_then(|slot| slot.file.now()) == Some(&bytes) {
            return Ok(false);
        }
        self.judge(name)?;
        let same_bytes = self.same_bytes(name, &bytes);
        self.disk_takes(&location(name))?;
        let slot = self.slot_mut(name);
        slot.file.set(Some(bytes));
        slot.written_since_reload |= !same_bytes;
        Ok(true)
    }

    /// Whether `bytes` lie at `name` already, if under another mode.
    fn same_bytes(&self, name: &CompanionName, bytes: &UnitBytes) -> bool {
        match (self.slot(name).and_then(|slot| slot.file.now()), bytes) {
            (Some(UnitBytes::Ours(lies)), UnitBytes::Ours(text)) if lies.is_exposed() => {
                lies.closed() == *text
            }
            _ => false,
        }
    }

    /// Has the generator judge the unit of `name`, where that is asked.
    fn judge(&self, name: &CompanionName) -> PortResult<()> {
        if !self.conditions.validates {
            return Ok(());
        }
        if self.conditions.generator == Generator::Missing {
            let message = format!("no generator is there to judge the unit of `{name}`");
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

    /// Removes the file of `name`, not yet durably; says whether one was there.
    ///
    /// # Errors
    /// `Conflict` when something unmanaged lies there, `Denied` on a read-only disk.
    pub fn remove_unit(&mut self, name: &CompanionName) -> PortResult<bool> {
        if self.slot(name).is_none_or(|slot| slot.file.now().is_none()) {
            return Ok(false);
        }
        self.must_be_ours(name)?;
        if self.conditions.disk == Disk::ReadOnly {
            self.disk_takes(&location(name))?;
        }
        self.slot_mut(name).file.set(None);
        Ok(true)
    }

    fn must_be_ours(&mut self, name: &CompanionName) -> PortResult<()> {
        let Some(slot) = self.slot(name) else {
            return Ok(());
        };
        match slot.file.now() {
            None | Some(UnitBytes::Ours(_) | UnitBytes::Empty) => return Ok(()),
            Some(UnitBytes::Unreadable) => {
                let message = format!("cannot read `{}`: permission denied", location(name));
                return Err(PortError::new(PortErrorKind::Denied, message));
            }
            Some(
                UnitBytes::Unmanaged
                | UnitBytes::Refused
                | UnitBytes::Garbage
                | UnitBytes::Directory,
            ) => {}
        }
        let unforeseeable = slot.unseen.file;
        self.violate(ViolationKind::UnmanagedUnitTouched, Some(name), unforeseeable);
        let message = format!("`{}` is not ours", location(name));
        Err(PortError::new(PortErrorKind::Conflict, message))
    }
}
