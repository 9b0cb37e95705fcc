//! The contract of `UnitStore`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::revision::Revision;
use companion_core::model::unit::{UnitFile, UnitFileState, UnitSpec};
use companion_core::ports::{PortResult, UnitStore};

use crate::assertions::{Done as _, only, same};
use crate::{Arranged, HostWorld, Unarranged, suite};

mod reading;
mod rendering;
mod unmanaged;
mod writing;

use reading::*;
use rendering::*;
use unmanaged::*;
use writing::*;

/// A host with an empty unit store, and ways to tamper with it.
#[async_trait]
pub trait UnitStoreWorld: HostWorld {
    /// The store.
    fn store(&self) -> Arc<dyn UnitStore>;
    /// Another instance on the same store, as in another process.
    fn another(&self) -> Arc<dyn UnitStore>;
    /// A unit of a different companion for each number below 10.
    fn unit(&self, number: u8) -> UnitSpec;
    /// Puts a valid unit without the ownership label at `name`.
    async fn put_unmanaged(&self, name: &CompanionName);
    /// Puts bytes that are not a unit at `name`.
    async fn put_garbage(&self, name: &CompanionName);
    /// Makes a directory at `name`.
    async fn put_directory(&self, name: &CompanionName);
    /// Edits the unit at `name`, and keeps its ownership label and revision.
    async fn edit(&self, name: &CompanionName);
    /// Truncates the file at `name` to zero bytes.
    async fn truncate(&self, name: &CompanionName);
    /// Makes the file at `name` writable by others.
    async fn expose(&self, name: &CompanionName);
    /// Truncates the second half of the file at `name`.
    async fn cut(&self, name: &CompanionName);
    /// Copies the file at `from` to `to`.
    async fn copy(&self, from: &CompanionName, to: &CompanionName);
    /// Removes the store's directory.
    async fn lose_store(&self);
    /// Makes the store read-only, also for its owner.
    async fn lock_up(&self);
    /// Makes the file at `name` unreadable, also for its owner.
    async fn forbid(&self, name: &CompanionName);
    /// Changes the renderer, as another release or Podman version does.
    async fn change_renderer(&self);
    /// Removes the host's validator.
    async fn remove_validator(&self) -> Arranged {
        Err(Unarranged("validator that can be missing"))
    }
    /// Makes the validator reject the unit of `name`.
    async fn refuse(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("validator that rejects a unit"))
    }
    /// A text that differs whenever the object at `name` was replaced or changed: its bytes, mode, inode, and times of
    /// modification and change. Reading is no change, so it has no access time. A failure shows the lines that differ.
    async fn trace(&self, name: &CompanionName) -> String;
    /// Fills the disk.
    async fn fill_disk(&self) -> Arranged {
        Err(Unarranged("disk that can be filled"))
    }
    /// Puts a symbolic link at `name` to a valid managed unit elsewhere.
    async fn put_link(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("symbolic links"))
    }
    /// Adds a drop-in to the unit of `name`.
    async fn drop_in(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("drop-ins"))
    }
    /// Puts a valid unit of `name` in another place that the service manager reads.
    async fn put_elsewhere(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("units in other places"))
    }
    /// Adds a hard link to the file at `name` elsewhere.
    async fn add_name(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("hard links"))
    }
}

type World = dyn UnitStoreWorld;

async fn state_of(world: &World, name: &CompanionName, wanted: Option<&UnitSpec>) -> UnitFileState {
    observed(&*world.store(), name, wanted).await.done()
}

async fn observed(
    store: &dyn UnitStore,
    name: &CompanionName,
    wanted: Option<&UnitSpec>,
) -> PortResult<UnitFileState> {
    Ok(without_rendering(file_of(store, name, wanted).await?.state))
}

async fn file_of(
    store: &dyn UnitStore,
    name: &CompanionName,
    wanted: Option<&UnitSpec>,
) -> PortResult<UnitFile> {
    let names = BTreeMap::from([(name.clone(), wanted.cloned())]);
    only(store.observe(&names).await, name)
}

/// The same state without the rendering digest, which differs between hosts.
pub fn without_rendering(state: UnitFileState) -> UnitFileState {
    let plain = |revision: Revision| revision.with_rendering(None);
    match state {
        UnitFileState::Current { revision } => UnitFileState::Current { revision: plain(revision) },
        UnitFileState::WrongMode { revision } => {
            UnitFileState::WrongMode { revision: plain(revision) }
        }
        UnitFileState::Outdated { revision } => {
            UnitFileState::Outdated { revision: plain(revision) }
        }
        UnitFileState::Drifted { revision } => {
            UnitFileState::Drifted { revision: revision.map(plain) }
        }
        other @ (UnitFileState::Absent | UnitFileState::Unmanaged { .. }) => other,
    }
}

/// A written unit of the companion `number`.
async fn written(world: &World, number: u8) -> UnitSpec {
    let unit = world.unit(number);
    world.store().write(&unit).await.done();
    unit
}

/// The same unit with another description.
fn newer(unit: &UnitSpec) -> UnitSpec {
    UnitSpec { description: "Something else".to_owned(), ..unit.clone() }
}

/// Fails unless `unit` is in the store, unmodified.
async fn is_current(world: &World, unit: &UnitSpec) {
    let revision = unit.revision;
    same!(
        state_of(world, &unit.name, Some(unit)).await,
        UnitFileState::Current { revision },
        "the unit is current"
    );
}

/// Fails unless there is nothing at the name of `unit`.
async fn is_absent(world: &World, unit: &UnitSpec) {
    same!(
        state_of(world, &unit.name, Some(unit)).await,
        UnitFileState::Absent,
        "the unit is absent"
    )
}

/// Fails unless the store lists exactly the units of `names`.
async fn lists<const N: usize>(world: &World, names: [&CompanionName; N]) {
    let listed = world.store().list().await.done();
    same!(listed.iter().collect::<Vec<_>>(), names, "exactly the managed units are listed");
}

async fn unit_at(world: &World, name: &CompanionName) -> UnitFile {
    let names = BTreeMap::from([(name.clone(), None)]);
    only(world.store().observe(&names).await, name).done()
}

async fn location_of(world: &World, name: &CompanionName) -> String {
    unit_at(world, name).await.location
}

fn is_unmanaged(state: &UnitFileState) -> bool {
    matches!(state, UnitFileState::Unmanaged { .. })
}

suite! { unit_store, UnitStoreWorld:
    a_unit_is_compared_under_the_restart_epoch_that_its_file_names,
    writing_the_same_unit_again_changes_nothing,
    writing_another_unit_replaces_the_one_before,
    an_edited_unit_is_drifted_whatever_its_mode_and_a_write_restores_it,
    unit_writable_by_others_is_wrong_mode_and_fixed_by_a_write,
    a_file_without_a_byte_is_drifted_and_not_listed,
    unit_without_the_ownership_label_is_unmanaged_and_not_listed,
    bytes_that_are_no_unit_are_unmanaged,
    a_directory_in_place_of_a_unit_is_unmanaged,
    rejected_unit_changes_nothing_and_keeps_no_other_from_being_written [Validator],
    prepared_units_are_written_but_a_rejected_one [Validator],
    a_name_that_cannot_be_read_hides_no_other,
    the_answer_has_an_entry_for_every_name,
    a_unit_that_breaks_a_rule_of_its_own_is_invalid_and_not_written,
    what_one_instance_wrote_another_one_reads,
    the_units_of_several_companions_do_not_touch_each_other,
    every_part_of_a_unit_is_compared,
    a_written_unit_names_the_rendering_that_was_announced,
    a_unit_of_an_earlier_renderer_is_outdated_and_not_edited,
    an_edited_unit_of_an_earlier_renderer_is_drifted,
    reading_changes_nothing,
    listing_returns_exactly_the_managed_units,
    every_name_has_its_location_in_every_state,
    new_or_missing_store_is_empty_and_created_by_a_write,
    a_copy_of_a_unit_under_another_name_is_unmanaged,
    what_cannot_be_read_is_neither_written_over_nor_removed,
    name_of_a_removed_unmanaged_file_can_be_used,
    a_removed_unit_leaves_nothing_and_can_be_written_again,
    a_unit_that_was_cut_off_is_never_current,
    a_write_that_is_dropped_half_way_leaves_the_old_unit_or_the_new_one,
    a_removal_that_is_dropped_half_way_leaves_the_unit_or_nothing,
    concurrent_writes_leave_one_of_them_whole,
    without_a_validator_only_writes_of_changes_fail [Validator],
    a_store_that_may_not_be_changed_denies_it_and_can_be_read,
    a_drop_in_of_a_unit_is_named_and_changes_nothing_else,
    a_link_in_place_of_a_unit_is_unmanaged_and_not_followed,
    a_file_that_has_a_second_name_is_unmanaged,
    a_name_taken_elsewhere_is_unmanaged_where_a_unit_is_expected,
    a_written_unit_whose_name_is_taken_elsewhere_stays_ours,
    full_disk_is_transient_and_the_old_unit_remains,
}
