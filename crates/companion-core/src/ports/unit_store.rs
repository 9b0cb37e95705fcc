//! `UnitStore`: where the units of companions are kept.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::PortResult;
use crate::model::companion::CompanionName;
#[cfg(doc)]
use crate::model::container::ContainerSpec;
use crate::model::unit::{UnitFile, UnitSpec};

/// Keeps the units of companions in the form that the service manager reads.
///
/// # Contract
/// - A unit is *ours* when it carries our mark with its own name, or holds nothing at all: a file
///   that was cut off to no byte is nobody's loss. Everything else at a companion's name is unmanaged,
///   is reported as such, and is never written over or removed.
/// - After [`write`](Self::write) returned, the unit survives a loss of power; a reader sees the old
///   bytes or the new ones, never a mix. After an error the old unit still stands.
/// - What is not a regular file of its own is unmanaged too: a directory, a link, a file that has a second
///   name, a copy of another companion's unit.
/// - A unit that was cut off is never current.
/// - After [`remove`](Self::remove) returned, the absence survives a loss of power.
/// - A write or removal whose caller went away is not made up for later: it is over, one way or the
///   other, before the next one begins.
/// - Of two writes at once, by whichever instances, one is left, and it is whole.
/// - A unit has one location, whatever lies there.
/// - Writing makes nothing run and loads nothing: that is the service manager's part.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait UnitStore: Send + Sync {
    /// Reads what lies at each of `names`, compared with the unit wanted there if one is given.
    ///
    /// A unit of ours with other bytes is [`Outdated`](crate::model::unit::UnitFileState::Outdated)
    /// when the rendering that it names is that of its own bytes, or when it names none, and else
    /// [`Drifted`](crate::model::unit::UnitFileState::Drifted); so it is without a unit to compare. One
    /// that says what is wanted and that others may write is
    /// [`Exposed`](crate::model::unit::UnitFileState::WrongMode). A unit is compared under the restart epoch that the file
    /// names, so a restored one stays current, and under the store's own rendering, whichever the unit
    /// asked about names. The answer has an entry for every name; one that cannot be read is an error
    /// of its own and hides no other.
    async fn observe(
        &self,
        names: &BTreeMap<CompanionName, Option<UnitSpec>>,
    ) -> BTreeMap<CompanionName, PortResult<UnitFile>>;

    /// Lists the names of all units that are ours, wanted or not; a file without a byte is not listed.
    ///
    /// # Errors
    /// When the store cannot be listed. A store that does not exist, not yet or no more, is empty.
    async fn list(&self) -> PortResult<BTreeSet<CompanionName>>;

    /// Writes `unit`, after the host's own judge of units accepted it. What lies there already is not
    /// judged again, nor touched; an exposed unit is written anew, so that nobody holds it open. A
    /// store that does not exist is made. The unit that is written names the store's own rendering,
    /// whichever `unit` names.
    ///
    /// # Errors
    /// `Invalid` when the unit breaks a rule of [`ContainerSpec::validate`], which a store checks itself
    /// because anyone may build one, when it cannot be said in this host's form, or its judge refuses it
    /// (the message holds the judge's own words); `Unavailable` when there is no judge; `Conflict` when
    /// something unmanaged lies there; `Denied` (also when what lies there cannot be read) and `Transient`
    /// (full disk) from the file system. A refusal of one unit hinders no other.
    async fn write(&self, unit: &UnitSpec) -> PortResult<()>;

    /// Removes the unit of `name`, if it is there and ours.
    ///
    /// # Errors
    /// `Conflict` when something unmanaged lies there; `Denied` and `Transient` from the file system.
    async fn remove(&self, name: &CompanionName) -> PortResult<()>;
}
