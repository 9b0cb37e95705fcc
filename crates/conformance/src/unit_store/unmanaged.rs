//! Unmanaged objects: reported and never changed.

use companion_core::model::unit::{UnitFileState, UnitSpec};
use companion_core::ports::PortErrorKind;

use super::{World, is_current, is_unmanaged, lists, location_of, newer, state_of, written};
use crate::Arranged;
use crate::assertions::{Done as _, refused, same};

/// Fails unless the object at the name of `unit` is unmanaged, and stays as it is after a write and a removal.
async fn stays_unmanaged(world: &World, unit: &UnitSpec) {
    let before = world.trace(&unit.name).await;
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(unit)).await), "it is unmanaged");
    refused(world.store().write(&newer(unit)).await, PortErrorKind::Conflict);
    refused(world.store().remove(&unit.name).await, PortErrorKind::Conflict);
    same!(world.trace(&unit.name).await, before, "the object is untouched");
}

pub(super) async fn unit_without_the_ownership_label_is_unmanaged_and_not_listed(world: &World) {
    let unit = world.unit(0);
    world.put_unmanaged(&unit.name).await;
    stays_unmanaged(world, &unit).await;
    assert!(is_unmanaged(&state_of(world, &unit.name, None).await), "it is unmanaged");
    lists(world, []).await;
}

pub(super) async fn bytes_that_are_no_unit_are_unmanaged(world: &World) {
    let unit = world.unit(0);
    world.put_garbage(&unit.name).await;
    stays_unmanaged(world, &unit).await;
}

pub(super) async fn a_directory_in_place_of_a_unit_is_unmanaged(world: &World) {
    let unit = world.unit(0);
    world.put_directory(&unit.name).await;
    stays_unmanaged(world, &unit).await;
}

pub(super) async fn a_copy_of_a_unit_under_another_name_is_unmanaged(world: &World) {
    let (unit, other) = (written(world, 0).await, world.unit(1));
    world.copy(&unit.name, &other.name).await;
    stays_unmanaged(world, &other).await;
    lists(world, [&unit.name]).await;
}

pub(super) async fn what_cannot_be_read_is_neither_written_over_nor_removed(world: &World) {
    let unit = written(world, 0).await;
    world.forbid(&unit.name).await;
    let before = world.trace(&unit.name).await;
    refused(world.store().write(&newer(&unit)).await, PortErrorKind::Denied);
    refused(world.store().remove(&unit.name).await, PortErrorKind::Denied);
    same!(world.trace(&unit.name).await, before);
}

pub(super) async fn name_of_a_removed_unmanaged_file_can_be_used(world: &World) {
    let unit = world.unit(0);
    world.put_unmanaged(&unit.name).await;
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
    world.lose_store().await;
    world.store().write(&unit).await.done();
    is_current(world, &unit).await;
}

pub(super) async fn a_link_in_place_of_a_unit_is_unmanaged_and_not_followed(
    world: &World,
) -> Arranged {
    let unit = world.unit(0);
    world.put_link(&unit.name).await?;
    stays_unmanaged(world, &unit).await;
    lists(world, []).await;
    Ok(())
}

pub(super) async fn a_file_that_has_a_second_name_is_unmanaged(world: &World) -> Arranged {
    let unit = written(world, 0).await;
    world.add_name(&unit.name).await?;
    stays_unmanaged(world, &unit).await;
    Ok(())
}

pub(super) async fn a_name_taken_elsewhere_is_unmanaged_where_a_unit_is_expected(
    world: &World,
) -> Arranged {
    let (unit, other) = (world.unit(0), written(world, 1).await);
    world.put_elsewhere(&unit.name).await?;
    let location =
        location_of(world, &other.name).await.replace(other.name.as_str(), unit.name.as_str());
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "it is unmanaged");
    let unasked = state_of(world, &unit.name, None).await;
    same!(unasked, UnitFileState::Absent, "nothing is to be removed");
    same!(location_of(world, &unit.name).await, location, "its location is that of the store");
    refused(world.store().write(&unit).await, PortErrorKind::Conflict);
    let nothing = world.trace(&world.unit(2).name).await;
    same!(world.trace(&unit.name).await, nothing, "nothing is written");
    world.store().remove(&unit.name).await.done();
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "it is still there");
    is_current(world, &other).await;
    lists(world, [&other.name]).await;
    Ok(())
}

pub(super) async fn a_written_unit_whose_name_is_taken_elsewhere_stays_ours(
    world: &World,
) -> Arranged {
    let unit = written(world, 0).await;
    world.put_elsewhere(&unit.name).await?;
    is_current(world, &unit).await;
    world.store().write(&newer(&unit)).await.done();
    world.store().remove(&unit.name).await.done();
    assert!(is_unmanaged(&state_of(world, &unit.name, Some(&unit)).await), "the other one is left");
    Ok(())
}
