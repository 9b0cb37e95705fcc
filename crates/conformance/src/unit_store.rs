//! What a `UnitStore` promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::{UnitFileState, UnitSpec};
use companion_core::ports::{PortErrorKind, PortResult, UnitStore};

use super::refused;

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
    async fn put_foreign(&self, name: &CompanionName);
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
    /// Lets nobody read the file at `name`, not even us.
    async fn forbid(&self, name: &CompanionName);
    /// Has the host's judge of units refuse the unit of `name` from now on.
    async fn refuse(&self, name: &CompanionName);
    /// Something that differs whenever what lies at `name` does.
    async fn trace(&self, name: &CompanionName) -> String;
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
    let names = BTreeMap::from([(name.clone(), wanted.cloned())]);
    let mut files = store.observe(&names).await;
    assert_eq!(files.len(), 1);
    Ok(files.remove(name).unwrap()?.state)
}

fn is_foreign(state: &UnitFileState) -> bool {
    matches!(state, UnitFileState::Foreign { .. })
}

async fn an_empty_store_lists_nothing_and_every_name_in_it_is_absent(world: &World) {
    assert!(world.store().list().await.unwrap().is_empty());
    let unit = world.unit(0);
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Absent);
}

async fn a_written_unit_is_current_and_listed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Current { revision });
    assert_eq!(world.store().list().await.unwrap(), [unit.name].into());
}

async fn a_unit_that_is_compared_with_none_is_drifted_and_names_its_revision(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let revision = Some(unit.revision);
    let state = state_of(world, &unit.name, None).await;
    assert_eq!(state, UnitFileState::Drifted { revision });
}

async fn a_unit_that_is_compared_with_another_one_is_drifted(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let mut other = unit.clone();
    other.container.read_only_root = !other.container.read_only_root;
    let revision = Some(unit.revision);
    let state = state_of(world, &unit.name, Some(&other)).await;
    assert_eq!(state, UnitFileState::Drifted { revision });
}

async fn a_unit_is_compared_under_the_incarnation_that_its_file_names(world: &World) {
    let mut unit = world.unit(0);
    unit.revision = unit.revision.with_incarnation(3);
    world.store().write(&unit).await.unwrap();
    let mut asked = unit.clone();
    asked.revision = asked.revision.with_incarnation(0);
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&asked)).await;
    assert_eq!(state, UnitFileState::Current { revision });
}

async fn writing_the_same_unit_again_changes_nothing(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let before = world.trace(&unit.name).await;
    world.store().write(&unit).await.unwrap();
    assert_eq!(world.trace(&unit.name).await, before);
}

async fn writing_another_unit_replaces_the_one_before(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    newer.revision = newer.revision.with_incarnation(1);
    world.store().write(&newer).await.unwrap();
    let revision = newer.revision;
    let state = state_of(world, &unit.name, Some(&newer)).await;
    assert_eq!(state, UnitFileState::Current { revision });
}

async fn an_edited_unit_is_drifted_and_still_names_its_revision(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.edit(&unit.name).await;
    let revision = Some(unit.revision);
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Drifted { revision });
    assert!(world.store().list().await.unwrap().contains(&unit.name));
}

async fn a_unit_that_everyone_may_write_is_drifted(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.expose(&unit.name).await;
    let revision = Some(unit.revision);
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Drifted { revision });
}

async fn a_file_without_a_byte_is_drifted_and_not_listed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.truncate(&unit.name).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Drifted { revision: None });
    assert!(world.store().list().await.unwrap().is_empty());
}

async fn writing_over_a_drifted_unit_restores_it(world: &World) {
    let unit = world.unit(0);
    let revision = unit.revision;
    for number in 0..3 {
        world.store().write(&unit).await.unwrap();
        match number {
            0 => world.edit(&unit.name).await,
            1 => world.truncate(&unit.name).await,
            _ => world.expose(&unit.name).await,
        }
        world.store().write(&unit).await.unwrap();
        let state = state_of(world, &unit.name, Some(&unit)).await;
        assert_eq!(state, UnitFileState::Current { revision }, "{number}");
    }
}

async fn a_unit_without_our_mark_is_foreign_and_not_listed(world: &World) {
    let unit = world.unit(0);
    world.put_foreign(&unit.name).await;
    assert!(is_foreign(&state_of(world, &unit.name, Some(&unit)).await));
    assert!(is_foreign(&state_of(world, &unit.name, None).await));
    assert!(world.store().list().await.unwrap().is_empty());
}

async fn a_foreign_unit_is_never_written_over(world: &World) {
    let unit = world.unit(0);
    world.put_foreign(&unit.name).await;
    let before = world.trace(&unit.name).await;
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
    assert_eq!(world.trace(&unit.name).await, before);
}

async fn a_foreign_unit_is_never_removed(world: &World) {
    let unit = world.unit(0);
    world.put_foreign(&unit.name).await;
    let before = world.trace(&unit.name).await;
    let removed = world.store().remove(&unit.name).await;
    refused(removed, PortErrorKind::Conflict);
    assert_eq!(world.trace(&unit.name).await, before);
}

async fn bytes_that_are_no_unit_are_foreign(world: &World) {
    let unit = world.unit(0);
    world.put_garbage(&unit.name).await;
    assert!(is_foreign(&state_of(world, &unit.name, Some(&unit)).await));
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
}

async fn a_directory_in_place_of_a_unit_is_foreign(world: &World) {
    let unit = world.unit(0);
    world.put_directory(&unit.name).await;
    assert!(is_foreign(&state_of(world, &unit.name, Some(&unit)).await));
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
    let removed = world.store().remove(&unit.name).await;
    refused(removed, PortErrorKind::Conflict);
}

async fn a_removed_unit_is_absent_and_not_listed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.store().remove(&unit.name).await.unwrap();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Absent);
    assert!(world.store().list().await.unwrap().is_empty());
}

async fn removing_what_is_not_there_is_a_success(world: &World) {
    let unit = world.unit(0);
    world.store().remove(&unit.name).await.unwrap();
    world.store().write(&unit).await.unwrap();
    world.store().remove(&unit.name).await.unwrap();
    world.store().remove(&unit.name).await.unwrap();
}

async fn an_edited_unit_of_ours_can_be_removed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.edit(&unit.name).await;
    world.store().remove(&unit.name).await.unwrap();
    let state = state_of(world, &unit.name, None).await;
    assert_eq!(state, UnitFileState::Absent);
}

async fn a_unit_that_the_judge_refuses_is_not_written_and_the_old_one_stands(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let before = world.trace(&unit.name).await;
    world.refuse(&unit.name).await;
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    refused(world.store().write(&newer).await, PortErrorKind::Invalid);
    assert_eq!(world.trace(&unit.name).await, before);
}

async fn a_name_that_cannot_be_read_hides_no_other(world: &World) {
    let (hidden, seen) = (world.unit(0), world.unit(1));
    world.store().write(&hidden).await.unwrap();
    world.store().write(&seen).await.unwrap();
    world.forbid(&hidden.name).await;
    let names = [&hidden, &seen].map(|unit| (unit.name.clone(), Some(unit.clone())));
    let files = world.store().observe(&names.into()).await;
    let kind = files[&hidden.name].as_ref().map_err(|error| error.kind());
    assert_eq!(kind.map(|file| &file.state), Err(PortErrorKind::Denied));
    let revision = seen.revision;
    let state = &files[&seen.name].as_ref().unwrap().state;
    assert_eq!(*state, UnitFileState::Current { revision });
}

async fn the_answer_has_an_entry_for_every_name(world: &World) {
    let units: Vec<UnitSpec> = (0..5).map(|number| world.unit(number)).collect();
    world.store().write(&units[1]).await.unwrap();
    world.put_foreign(&units[2].name).await;
    let names: BTreeMap<_, _> = units.iter().map(|unit| (unit.name.clone(), None)).collect();
    let files = world.store().observe(&names).await;
    assert!(files.keys().eq(names.keys()));
    assert!(world.store().observe(&BTreeMap::new()).await.is_empty());
}

async fn every_name_has_a_location_of_its_own(world: &World) {
    let units = [world.unit(0), world.unit(1)];
    world.store().write(&units[0]).await.unwrap();
    let names = units.map(|unit| (unit.name.clone(), Some(unit)));
    let files = world.store().observe(&names.into()).await;
    let mut locations: Vec<String> =
        files.into_values().map(|file| file.unwrap().location).collect();
    locations.dedup();
    assert_eq!(locations.len(), 2, "{locations:?}");
}

async fn what_one_instance_wrote_another_one_reads(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let state = observed(&*world.another(), &unit.name, Some(&unit)).await;
    let revision = unit.revision;
    assert_eq!(state.unwrap(), UnitFileState::Current { revision });
    world.another().remove(&unit.name).await.unwrap();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Absent);
}

async fn the_units_of_several_companions_do_not_touch_each_other(world: &World) {
    let (one, other) = (world.unit(0), world.unit(1));
    world.store().write(&one).await.unwrap();
    let before = world.trace(&one.name).await;
    world.store().write(&other).await.unwrap();
    world.edit(&other.name).await;
    world.store().remove(&other.name).await.unwrap();
    assert_eq!(world.trace(&one.name).await, before);
}

/// Calls a macro with the cases of this suite.
#[macro_export]
macro_rules! unit_store_cases {
    ($with:ident $(, $world:ty)?) => {
        $with! { unit_store $(, $world)?:
            an_empty_store_lists_nothing_and_every_name_in_it_is_absent,
            a_written_unit_is_current_and_listed,
            a_unit_that_is_compared_with_none_is_drifted_and_names_its_revision,
            a_unit_that_is_compared_with_another_one_is_drifted,
            a_unit_is_compared_under_the_incarnation_that_its_file_names,
            writing_the_same_unit_again_changes_nothing,
            writing_another_unit_replaces_the_one_before,
            an_edited_unit_is_drifted_and_still_names_its_revision,
            a_unit_that_everyone_may_write_is_drifted,
            a_file_without_a_byte_is_drifted_and_not_listed,
            writing_over_a_drifted_unit_restores_it,
            a_unit_without_our_mark_is_foreign_and_not_listed,
            a_foreign_unit_is_never_written_over,
            a_foreign_unit_is_never_removed,
            bytes_that_are_no_unit_are_foreign,
            a_directory_in_place_of_a_unit_is_foreign,
            a_removed_unit_is_absent_and_not_listed,
            removing_what_is_not_there_is_a_success,
            an_edited_unit_of_ours_can_be_removed,
            a_unit_that_the_judge_refuses_is_not_written_and_the_old_one_stands,
            a_name_that_cannot_be_read_hides_no_other,
            the_answer_has_an_entry_for_every_name,
            every_name_has_a_location_of_its_own,
            what_one_instance_wrote_another_one_reads,
            the_units_of_several_companions_do_not_touch_each_other,
        }
    };
}

use super::table;
unit_store_cases!(table, dyn UnitStoreWorld);
