//! Containers: managed, unmanaged, and those without their unit.

use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use super::World;
use super::violations::ViolationKind;

/// The state of a container, as Podman reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It was created and never started.
    Created,
    /// Its program runs.
    Running,
    /// It is paused.
    Paused,
    /// Its program exited.
    Exited,
}

impl Status {
    /// Returns Podman's name of the state.
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
    /// Whether it has the ownership label with its own name.
    pub ours: bool,
    /// Its state.
    pub status: Status,
}

impl World {
    /// Returns the container at `name`.
    ///
    /// # Errors
    /// `Unavailable` without Podman.
    pub fn container(&self, name: &CompanionName) -> PortResult<ContainerState> {
        self.needs_podman()?;
        let container = self.slot(name).and_then(|slot| slot.container);
        Ok(match container {
            None => ContainerState::Absent,
            Some(container) if container.ours => {
                ContainerState::Ours { status: container.status.word().to_owned() }
            }
            Some(_) => ContainerState::Unmanaged {
                what:
                    "a container of image registry.example/other:latest, started by `other.service`"
                        .to_owned(),
            },
        })
    }

    /// Runs an unmanaged container of that name in place of any other, as the start of another unit does.
    pub fn take_container(&mut self, name: &CompanionName, now: std::time::Duration) {
        self.remove_container(name, now);
        self.put_unmanaged_container(name, now);
    }

    /// Force-removes the container of `name` if it is managed; returns whether it existed.
    ///
    /// # Errors
    /// `Conflict` when it is unmanaged, `Unavailable` without Podman.
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
                let message = format!("container `{name}` is unmanaged");
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
        let message = "`podman` not found";
        Err(PortError::new(PortErrorKind::Unavailable, message))
    }
}
