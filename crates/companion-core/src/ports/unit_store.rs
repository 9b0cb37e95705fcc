//! `UnitStore`: stores the unit files of companions.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::{Hint, PortResult};
use crate::model::companion::CompanionName;
#[cfg(doc)]
use crate::model::container::ContainerSpec;
use crate::model::unit::{UnitFile, UnitSpec};

/// Stores units in the format of the service manager.
///
/// # Contract
/// - A unit is *managed* when it has the ownership label with its own name, or is empty (a truncated file
///   contains nothing to lose). Everything else at a companion's name is unmanaged, reported as such, and never
///   overwritten or removed.
/// - After [`write`](Self::write) returned, the unit survives a power loss. Readers see the old bytes or the
///   new ones, never a mix. After an error the old unit still exists.
/// - Directories, symbolic links, files with hard links and copies of another companion's unit are unmanaged
///   too.
/// - A name is taken while the store has no unit of it, but another place that the service manager reads has one:
///   it would hide a unit of the store, or be hidden by it. Such a name is unmanaged where a unit is expected, and
///   not written. A unit that the store has stays what it is.
/// - A truncated unit is never current.
/// - After [`remove`](Self::remove) returned, the removal survives a power loss.
/// - A cancelled write or removal finishes, either way, before the next one starts; it has no later effect.
/// - Of two concurrent writes, by any instances, one remains, and it is complete.
/// - A unit has one location, whether it exists or not.
/// - A write loads and starts nothing: that is the service manager's responsibility.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait UnitStore: Send + Sync {
    /// Reads the file at each of `names` and compares it with the expected unit, if given. Returns an entry for
    /// every name; the failure of one entry does not affect the others.
    ///
    /// A managed unit with other bytes is [`Outdated`](crate::model::unit::UnitFileState::Outdated) when its
    /// rendering digest matches its own bytes or is missing, and otherwise
    /// [`Drifted`](crate::model::unit::UnitFileState::Drifted); the same applies without an expected unit. One
    /// with the expected bytes that is writable by others is
    /// [`WrongMode`](crate::model::unit::UnitFileState::WrongMode). The comparison uses the restart epoch of the
    /// file, so a restored unit stays current, and the store's own rendering digest instead of the one in the
    /// expected unit.
    async fn observe(
        &self,
        names: &BTreeMap<CompanionName, Option<UnitSpec>>,
    ) -> BTreeMap<CompanionName, PortResult<UnitFile>>;

    /// Lists the names of all managed units, desired or not; empty files are not listed.
    ///
    /// # Errors
    /// When the store cannot be listed. A store that does not exist is empty.
    async fn list(&self) -> PortResult<BTreeSet<CompanionName>>;

    /// Writes `unit` after the host's validator accepted it. A unit that already exists with the same bytes is
    /// neither validated nor written again, unless its mode is wrong: then it is replaced, so that no open file
    /// handle remains. Creates the store if necessary. The written unit contains the store's own rendering
    /// digest, whatever `unit` contains.
    ///
    /// # Errors
    /// `Invalid` when the unit breaks a rule of [`ContainerSpec::validate`], cannot be expressed in this host's
    /// format, or is rejected by the validator (the message contains its output); `Unavailable` when there is
    /// no validator or the file system is read-only; `Conflict` when an unmanaged object exists there; `Denied`
    /// (also when the existing file is unreadable, or others may write to the store) and `Transient` (full disk)
    /// from the file system. The rejection of one unit does not affect others.
    async fn write(&self, unit: &UnitSpec) -> PortResult<()>;

    /// Validates `units`, which will be written next one by one, together. It changes nothing and reports nothing: each
    /// [`write`](Self::write) validates its unit unless the last call accepted it. An acceptance is used once, and soon.
    ///
    /// The default does nothing; a store that wraps another one forwards the call.
    async fn prepare(&self, _units: &[UnitSpec]) {}

    /// Removes the unit of `name`, if it exists and is managed.
    ///
    /// # Errors
    /// `Conflict` when an unmanaged object exists there; `Denied`, `Unavailable` and `Transient` from the file
    /// system.
    async fn remove(&self, name: &CompanionName) -> PortResult<()>;

    /// Waits until a unit may have changed, as [`ServiceManager::changed`](super::ServiceManager::changed) does.
    async fn changed(&self) -> Hint {
        std::future::pending().await
    }
}
