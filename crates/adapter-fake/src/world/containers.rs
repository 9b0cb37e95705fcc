//! Containers: ours, strangers', and those that a vanished unit left behind.

use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use super::World;
use super::violations::ViolationKind;

/// What a container does, in the container host's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It was made and never started.
    Created,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// Its program ended.
    Exited,
}

impl Status {
    /// The container host's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
        }
    }
}

/// A container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Container {
    /// Whether it carries our label with its own name.
    pub ours: bool,
    /// What it does.
    pub status: Status,
}

impl World {
    /// What the container host has at `name`.
    ///
    /// # Errors
    /// `Unavailable` without the container program.
    pub fn container(&self, name: &CompanionName) -> PortResult<ContainerState> {
        self.needs_podman()?;
        let container = self.slot(name).and_then(|slot| slot.container);
        Ok(match container {
            None => ContainerState::Absent,
            Some(container) if container.ours => {
                ContainerState::Ours { status: container.status.word().to_owned() }
            }
            Some(_) => ContainerState::Unmanaged {
                image: "registry.example/someone/else:latest".to_owned(),
            },
        })
    }

    /// Removes the container of `name` by force, if it is ours, and says whether there was one.
    ///
    /// # Errors
    /// `Conflict` when it is a stranger's, `Unavailable` without the container program.
    pub fn remove_our_container(
        &mut self,
        name: &CompanionName,
        now: std::time::Duration,
    ) -> PortResult<bool> {
        self.needs_podman()?;
        match self.slot(name).and_then(|slot| slot.container) {
            None => Ok(false),
            Some(container) if !container.ours => {
                let unforeseeable = self.slot(name).is_some_and(|slot| slot.unseen.container);
                let kind = ViolationKind::UnmanagedContainerTouched;
                self.violate(kind, Some(name), unforeseeable);
                let message = format!("the container `{name}` is not ours");
                Err(PortError::new(PortErrorKind::Conflict, message))
            }
            Some(_) => {
                self.remove_container(name, now);
                Ok(true)
            }
        }
    }

    pub(crate) fn needs_podman(&self) -> PortResult<()> {
        if self.conditions.podman {
            return Ok(());
        }
        let message = "the program `podman` is not there";
        Err(PortError::new(PortErrorKind::Unavailable, message))
    }
}
