//! What a `UnitStore` promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::revision::Revision;
use companion_core::model::unit::{UnitFile, UnitFileState, UnitSpec};
use companion_core::ports::{PortResult, UnitStore};

use crate::{Arranged, Unarranged, optional_table, table};

mod reading;
mod rendering;
mod unmanaged;
mod writing;

use reading::*;
use rendering::*;
use unmanaged::*;
use writing::*;

/// A host with an empty unit store, and the hands of those who tamper with it.
#[async_trait]
pub trait UnitStoreWorld: Send + Sync {
    /// The store.
    fn store(&self) -> Arc<dyn UnitStore>;
    /// Another instance on the same place, as another process has it.
    fn another(&self) -> Arc<dyn UnitStore>;
    /// A unit, a different companion's for each number below 10.
    fn unit(&self, number: u8) -> UnitSpec;
    /// Puts a sound unit without our mark at `name`.
    async fn put_unmanaged(&self, name: &CompanionName);
    /// Puts bytes that are no unit at `name`.
    async fn put_garbage(&self, name: &CompanionName);
    /// Makes a directory at `name`.
    async fn put_directory(&self, name: &CompanionName);
    /// Changes what the unit at `name` says, and leaves the mark and the revision in it.
    async fn edit(&self, name: &CompanionName);
    /// Takes all bytes from the file at `name`.
    async fn truncate(&self, name: &CompanionName);
    /// Lets everyone write the file at `name`.
    async fn expose(&self, name: &CompanionName);
    /// Takes the second half of the bytes from the file at `name`.
    async fn cut(&self, name: &CompanionName);
    /// Copies the file at `from` to `to`, as a person does who wants another one like it.
    async fn copy(&self, from: &CompanionName, to: &CompanionName);
    /// Takes away everything that the store is kept in.
    async fn lose_store(&self);
    /// Lets nobody change the store, not even us.
    async fn lock_up(&self);
    /// Takes the host's judge of units away.
    async fn remove_judge(&self);
    /// Lets nobody read the file at `name`, not even us.
    async fn forbid(&self, name: &CompanionName);
    /// Has units written in other words from now on, as by another release or container program.
    async fn change_renderer(&self);
    /// Has the host's judge of units refuse the unit of `name` from now on.
    async fn refuse(&self, name: &CompanionName);
    /// Something that differs whenever what lies at `name` does.
    async fn trace(&self, name: &CompanionName) -> String;
    /// Leaves no room for another byte.
    async fn fill_disk(&self) -> Arranged {
        Err(Unarranged("disk that can be filled"))
    }
    /// Puts a symbolic link at `name` to a sound unit of ours for it that lies elsewhere.
    async fn put_link(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("symbolic links"))
    }
    /// Adds a setting to the unit of `name` beside its file, as an operator does.
    async fn drop_in(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("drop-ins"))
    }
    /// Gives the file at `name` a second name elsewhere (a hard link).
    async fn add_name(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("hard links"))
    }
}

type World = dyn UnitStoreWorld;

async fn state_of(world: &World, name: &CompanionName, wanted: Option<&UnitSpec>) -> UnitFileState {
    observed(&*world.store(), name, wanted).await.unwrap()
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
    let mut files = store.observe(&names).await;
    assert_eq!(files.len(), 1);
    files.remove(name).unwrap()
}

/// The same state, with a revision that names no rendering: two hosts say the same unit in other words.
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

async fn unit_at(world: &World, name: &CompanionName) -> UnitFile {
    let names = BTreeMap::from([(name.clone(), None)]);
    let mut files = world.store().observe(&names).await;
    files.remove(name).unwrap().unwrap()
}

async fn location_of(world: &World, name: &CompanionName) -> String {
    unit_at(world, name).await.location
}

fn is_unmanaged(state: &UnitFileState) -> bool {
    matches!(state, UnitFileState::Unmanaged { .. })
}

/// Calls a macro with the cases of this suite that every world can arrange.
#[macro_export]
macro_rules! unit_store_cases {
    ($with:ident $(, $world:ident)?) => {
        $with! { unit_store $(, $world)?:
            an_empty_store_lists_nothing_and_every_name_in_it_is_absent,
            a_written_unit_is_current_and_listed,
            a_unit_that_is_compared_with_none_is_outdated_and_names_its_revision,
            a_unit_that_is_compared_with_another_one_is_outdated,
            a_unit_is_compared_under_the_restart_epoch_that_its_file_names,
            writing_the_same_unit_again_changes_nothing,
            writing_another_unit_replaces_the_one_before,
            an_edited_unit_is_drifted_and_still_names_its_revision,
            a_unit_that_everyone_may_write_is_exposed_and_closed_by_a_write,
            an_edited_unit_that_everyone_may_write_is_drifted,
            a_file_without_a_byte_is_drifted_and_not_listed,
            writing_over_a_drifted_unit_restores_it,
            a_unit_without_our_mark_is_unmanaged_and_not_listed,
            an_unmanaged_unit_is_never_written_over,
            an_unmanaged_unit_is_never_removed,
            bytes_that_are_no_unit_are_unmanaged,
            a_directory_in_place_of_a_unit_is_unmanaged,
            a_removed_unit_is_absent_and_not_listed,
            removing_what_is_not_there_is_a_success,
            an_edited_unit_of_ours_can_be_removed,
            a_unit_that_the_judge_refuses_is_not_written_and_the_old_one_stands,
            a_name_that_cannot_be_read_hides_no_other,
            the_answer_has_an_entry_for_every_name,
            every_name_has_a_location_of_its_own,
            a_unit_that_breaks_a_rule_of_its_own_is_invalid_and_not_written,
            what_one_instance_wrote_another_one_reads,
            the_units_of_several_companions_do_not_touch_each_other,
            every_part_of_a_unit_is_compared,
            a_written_unit_names_the_rendering_that_was_announced,
            a_rendering_does_not_depend_on_the_revision_that_carries_it,
            a_unit_of_an_earlier_renderer_is_outdated_and_not_edited,
            an_edited_unit_of_an_earlier_renderer_is_drifted,
            reading_changes_nothing,
            listing_names_all_that_is_ours_and_nothing_else,
            a_location_is_the_same_whatever_lies_there,
            a_store_that_is_gone_is_empty_and_made_again_by_a_write,
            a_copy_of_a_unit_under_another_name_is_unmanaged,
            what_cannot_be_read_is_neither_written_over_nor_removed,
            what_was_unmanaged_and_is_gone_leaves_its_place_to_us,
            a_removed_unit_leaves_nothing_and_can_be_written_again,
            a_unit_that_was_cut_off_is_never_current,
            a_write_that_is_dropped_half_way_leaves_the_old_unit_or_the_new_one,
            a_removal_that_is_dropped_half_way_leaves_the_unit_or_nothing,
            of_two_writes_at_once_one_is_left_whole,
            a_unit_that_the_judge_refuses_is_not_written_where_there_is_none,
            a_refusal_of_one_unit_keeps_no_other_from_being_written,
            without_a_judge_nothing_is_written_and_all_the_rest_goes_on,
            writing_what_lies_there_already_asks_no_judge,
            a_store_that_may_not_be_changed_denies_it_and_can_be_read,
        }
    };
}

/// Calls a macro with the cases of this suite that not every world can arrange.
#[macro_export]
macro_rules! unit_store_optional_cases {
    ($with:ident $(, $world:ident)?) => {
        $with! { unit_store $(, $world)?:
            a_drop_in_beside_a_unit_is_named_and_changes_nothing_else,
            a_link_in_place_of_a_unit_is_unmanaged_and_not_followed,
            a_file_that_has_a_second_name_is_unmanaged,
            a_full_disk_is_a_passing_failure_and_the_old_unit_stands,
        }
    };
}

unit_store_cases!(table, UnitStoreWorld);
unit_store_optional_cases!(optional_table, UnitStoreWorld);
