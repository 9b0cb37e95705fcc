//! Unmanaged objects: reported and never changed.

use companion_core::model::unit::UnitFileState;
use companion_core::ports::PortErrorKind;

use super::{World, is_unmanaged, location_of, state_of};
use crate::Arranged;
use crate::assertions::{Done as _, refused, same};

pub(super) async fn unit_without_the_ownership_label_is_unmanaged_and_not_listed(world: &World) {
    let unit = world.unit(0);
    world.put_unmanaged(&unit.name).await;
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "it is unmanaged");
    assert!(is_unmanaged(&state_of(world, &unit.name, None).await), "it is unmanaged");
    assert!(world.store().list().await.done().is_empty(), "no managed unit is listed");
}

pub(super) async fn an_unmanaged_unit_is_never_written_over(world: &World) {
    let unit = world.unit(0);
    world.put_unmanaged(&unit.name).await;
    let before = world.trace(&unit.name).await;
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
    same!(world.trace(&unit.name).await, before, "the object is untouched");
}

pub(super) async fn an_unmanaged_unit_is_never_removed(world: &World) {
    let unit = world.unit(0);
    world.put_unmanaged(&unit.name).await;
    let before = world.trace(&unit.name).await;
    let removed = world.store().remove(&unit.name).await;
    refused(removed, PortErrorKind::Conflict);
    same!(world.trace(&unit.name).await, before, "the object is untouched");
}

pub(super) async fn bytes_that_are_no_unit_are_unmanaged(world: &World) {
    let unit = world.unit(0);
    world.put_garbage(&unit.name).await;
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "it is unmanaged");
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
}

pub(super) async fn a_directory_in_place_of_a_unit_is_unmanaged(world: &World) {
    let unit = world.unit(0);
    world.put_directory(&unit.name).await;
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "it is unmanaged");
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
    let removed = world.store().remove(&unit.name).await;
    refused(removed, PortErrorKind::Conflict);
}

pub(super) async fn a_copy_of_a_unit_under_another_name_is_unmanaged(world: &World) {
    let (unit, other) = (world.unit(0), world.unit(1));
    world.store().write(&unit).await.done();
    world.copy(&unit.name, &other.name).await;
    assert!(is_unmanaged(&state_of(world, &other.name, Some(&other)).await), "it is unmanaged");
    refused(world.store().write(&other).await, PortErrorKind::Conflict);
    refused(world.store().remove(&other.name).await, PortErrorKind::Conflict);
    same!(
        world.store().list().await.done(),
        [unit.name].into(),
        "exactly the managed units are listed"
    );
}

pub(super) async fn what_cannot_be_read_is_neither_written_over_nor_removed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    world.forbid(&unit.name).await;
    let before = world.trace(&unit.name).await;
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    refused(world.store().write(&newer).await, PortErrorKind::Denied);
    refused(world.store().remove(&unit.name).await, PortErrorKind::Denied);
    same!(world.trace(&unit.name).await, before, "the object is untouched");
}

pub(super) async fn name_of_a_removed_unmanaged_file_can_be_used(world: &World) {
    let unit = world.unit(0);
    world.put_unmanaged(&unit.name).await;
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
    world.lose_store().await;
    world.store().write(&unit).await.done();
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Current { revision }, "the unit is current");
}

pub(super) async fn a_link_in_place_of_a_unit_is_unmanaged_and_not_followed(
    world: &World,
) -> Arranged {
    let unit = world.unit(0);
    world.put_link(&unit.name).await?;
    let before = world.trace(&unit.name).await;
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "it is unmanaged");
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
    refused(world.store().remove(&unit.name).await, PortErrorKind::Conflict);
    assert!(world.store().list().await.done().is_empty(), "no managed unit is listed");
    same!(world.trace(&unit.name).await, before, "the object is untouched");
    Ok(())
}

pub(super) async fn a_file_that_has_a_second_name_is_unmanaged(world: &World) -> Arranged {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    world.add_name(&unit.name).await?;
    let before = world.trace(&unit.name).await;
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "it is unmanaged");
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    refused(world.store().write(&newer).await, PortErrorKind::Conflict);
    refused(world.store().remove(&unit.name).await, PortErrorKind::Conflict);
    same!(world.trace(&unit.name).await, before, "the object is untouched");
    Ok(())
}

pub(super) async fn a_name_taken_elsewhere_is_unmanaged_where_a_unit_is_expected(
    world: &World,
) -> Arranged {
    let (unit, other) = (world.unit(0), world.unit(1));
    world.store().write(&other).await.done();
    world.put_elsewhere(&unit.name).await?;
    let location =
        location_of(world, &other.name).await.replace(other.name.as_str(), unit.name.as_str());
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "it is unmanaged");
    same!(
        state_of(world, &unit.name, None).await,
        UnitFileState::Absent,
        "nothing is to be removed"
    );
    same!(location_of(world, &unit.name).await, location, "its location is that of the store");
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
    same!(
        world.trace(&unit.name).await,
        world.trace(&world.unit(2).name).await,
        "nothing is written"
    );
    world.store().remove(&unit.name).await.done();
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "it is still there");
    let revision = other.revision;
    let state = state_of(world, &other.name, Some(&other)).await;
    same!(state, UnitFileState::Current { revision }, "no other name is taken");
    same!(world.store().list().await.done(), [other.name].into(), "it is not listed");
    Ok(())
}

pub(super) async fn a_written_unit_whose_name_is_taken_elsewhere_stays_ours(
    world: &World,
) -> Arranged {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    world.put_elsewhere(&unit.name).await?;
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Current { revision }, "the unit is current");
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    world.store().write(&newer).await.done();
    world.store().remove(&unit.name).await.done();
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "the other one is left");
    Ok(())
}
