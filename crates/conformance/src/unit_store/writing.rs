//! Writes and removals.

use companion_core::model::container::{AbsolutePath, BindMount, ContainerSpec, Device};
use companion_core::model::unit::UnitFileState;
use companion_core::ports::PortErrorKind;

use super::{World, observed, state_of};
use crate::Arranged;
use crate::assertions::{Done as _, begin_and_drop, refused, same};

pub(super) async fn a_written_unit_is_current_and_listed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Current { revision }, "the unit is current");
    same!(
        world.store().list().await.done(),
        [unit.name].into(),
        "exactly the managed units are listed"
    );
}

pub(super) async fn writing_the_same_unit_again_changes_nothing(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    let before = world.trace(&unit.name).await;
    world.store().write(&unit).await.done();
    same!(world.trace(&unit.name).await, before, "the object is untouched");
}

pub(super) async fn writing_another_unit_replaces_the_one_before(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    newer.revision = newer.revision.with_restart_epoch(1);
    world.store().write(&newer).await.done();
    let revision = newer.revision;
    let state = state_of(world, &unit.name, Some(&newer)).await;
    same!(state, UnitFileState::Current { revision }, "the unit is current");
}

pub(super) async fn unit_writable_by_others_is_wrong_mode_and_fixed_by_a_write(world: &World) {
    let unit = world.unit(0);
    let revision = unit.revision;
    world.store().write(&unit).await.done();
    world.expose(&unit.name).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::WrongMode { revision }, "others may write it");
    world.store().write(&unit).await.done();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Current { revision }, "the unit is current");
}

pub(super) async fn writing_over_a_drifted_unit_restores_it(world: &World) {
    let unit = world.unit(0);
    let revision = unit.revision;
    for number in 0..3 {
        world.store().write(&unit).await.done();
        match number {
            0 => world.edit(&unit.name).await,
            1 => world.truncate(&unit.name).await,
            _ => world.expose(&unit.name).await,
        }
        world.store().write(&unit).await.done();
        let state = state_of(world, &unit.name, Some(&unit)).await;
        same!(state, UnitFileState::Current { revision }, "the unit is current: {number}");
    }
}

pub(super) async fn a_removed_unit_is_absent_and_not_listed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    world.store().remove(&unit.name).await.done();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Absent, "the unit is absent");
    assert!(world.store().list().await.done().is_empty(), "no managed unit is listed");
}

pub(super) async fn removing_what_is_not_there_is_a_success(world: &World) {
    let unit = world.unit(0);
    world.store().remove(&unit.name).await.done();
    world.store().write(&unit).await.done();
    world.store().remove(&unit.name).await.done();
    world.store().remove(&unit.name).await.done();
}

pub(super) async fn an_edited_unit_of_ours_can_be_removed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    world.edit(&unit.name).await;
    world.store().remove(&unit.name).await.done();
    let state = state_of(world, &unit.name, None).await;
    same!(state, UnitFileState::Absent, "the unit is absent");
}

pub(super) async fn rejected_unit_is_not_written_and_the_old_one_remains(
    world: &World,
) -> Arranged {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    let before = world.trace(&unit.name).await;
    world.refuse(&unit.name).await?;
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    refused(world.store().write(&newer).await, PortErrorKind::Invalid);
    same!(world.trace(&unit.name).await, before, "the object is untouched");
    Ok(())
}

pub(super) async fn prepared_units_are_written_but_a_rejected_one(world: &World) -> Arranged {
    let [accepted, rejected] = [world.unit(0), world.unit(1)];
    world.refuse(&rejected.name).await?;
    let store = world.store();
    store.prepare(&[accepted.clone(), rejected.clone()]).await;
    store.write(&accepted).await.done();
    refused(store.write(&rejected).await, PortErrorKind::Invalid);
    store.prepare(&[accepted.clone(), accepted.clone()]).await;
    refused(store.write(&rejected).await, PortErrorKind::Invalid);
    Ok(())
}

pub(super) async fn a_unit_that_breaks_a_rule_of_its_own_is_invalid_and_not_written(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    let before = world.trace(&unit.name).await;
    let path = |text: &str| AbsolutePath::new(text).unwrap();
    let breaks: [fn(&mut ContainerSpec, AbsolutePath); 3] = [
        |spec, path| spec.devices = vec![Device { source: path, target: None }],
        |spec, path| {
            let mount = BindMount { source: path.clone(), target: path, read_only: true };
            spec.mounts = vec![mount.clone(), mount];
        },
        |spec, _| spec.command = vec![String::new()],
    ];
    for broken in breaks {
        let mut other = unit.clone();
        broken(&mut other.container, path("/etc/passwd"));
        refused(world.store().write(&other).await, PortErrorKind::Invalid);
        same!(world.trace(&unit.name).await, before, "a unit that breaks a rule changes nothing");
        let mut none = world.unit(1);
        none.container = other.container;
        refused(world.store().write(&none).await, PortErrorKind::Invalid);
        let state = state_of(world, &none.name, Some(&none)).await;
        same!(state, UnitFileState::Absent, "the unit is absent");
    }
}

pub(super) async fn what_one_instance_wrote_another_one_reads(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    let state = observed(&*world.another(), &unit.name, Some(&unit)).await;
    let revision = unit.revision;
    same!(state.done(), UnitFileState::Current { revision }, "the unit is current");
    world.another().remove(&unit.name).await.done();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Absent, "the unit is absent");
}

pub(super) async fn the_units_of_several_companions_do_not_touch_each_other(world: &World) {
    let (one, other) = (world.unit(0), world.unit(1));
    world.store().write(&one).await.done();
    let before = world.trace(&one.name).await;
    world.store().write(&other).await.done();
    world.edit(&other.name).await;
    world.store().remove(&other.name).await.done();
    same!(world.trace(&one.name).await, before, "units of other companions stay");
}

pub(super) async fn a_removed_unit_leaves_nothing_and_can_be_written_again(world: &World) {
    let unit = world.unit(0);
    let before = world.trace(&unit.name).await;
    world.store().write(&unit).await.done();
    world.store().remove(&unit.name).await.done();
    same!(world.trace(&unit.name).await, before, "nothing is left of a removed unit");
    world.store().write(&unit).await.done();
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Current { revision }, "the unit is current");
}

pub(super) async fn a_unit_that_was_cut_off_is_never_current(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    world.cut(&unit.name).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    match state {
        UnitFileState::Drifted { .. } => world.store().write(&unit).await.done(),
        UnitFileState::Unmanaged { .. } => {
            refused(world.store().write(&unit).await, PortErrorKind::Conflict);
        }
        other => panic!("half a unit is {other:?}"),
    }
}

pub(super) async fn a_write_that_is_dropped_half_way_leaves_the_old_unit_or_the_new_one(
    world: &World,
) {
    let unit = world.unit(0);
    let mut newer = unit.clone();
    newer.revision = newer.revision.with_restart_epoch(1);
    world.store().write(&unit).await.done();
    begin_and_drop(world.store().write(&newer)).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert!(matches!(state, UnitFileState::Current { .. }), "the unit is whole: {state:?}");
    world.store().write(&newer).await.done();
    let revision = newer.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Current { revision }, "a dropped write has no later effect");
}

pub(super) async fn a_removal_that_is_dropped_half_way_leaves_the_unit_or_nothing(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    begin_and_drop(world.store().remove(&unit.name)).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    let whole = matches!(state, UnitFileState::Current { .. } | UnitFileState::Absent);
    assert!(whole, "the unit is whole or absent: {state:?}");
    world.store().write(&unit).await.done();
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Current { revision }, "a dropped write has no later effect");
}

pub(super) async fn of_two_writes_at_once_one_is_left_whole(world: &World) {
    let unit = world.unit(0);
    let mut newer = unit.clone();
    newer.revision = newer.revision.with_restart_epoch(1);
    let (store, another) = (world.store(), world.another());
    let (one, other) = tokio::join!(store.write(&unit), another.write(&newer));
    one.done();
    other.done();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert!(matches!(state, UnitFileState::Current { .. }), "the unit is whole: {state:?}");
}

pub(super) async fn rejected_unit_is_not_created(world: &World) -> Arranged {
    let unit = world.unit(0);
    world.refuse(&unit.name).await?;
    refused(world.store().write(&unit).await, PortErrorKind::Invalid);
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Absent, "the unit is absent");
    Ok(())
}

pub(super) async fn a_refusal_of_one_unit_keeps_no_other_from_being_written(
    world: &World,
) -> Arranged {
    let (refused_unit, other) = (world.unit(0), world.unit(1));
    world.refuse(&refused_unit.name).await?;
    refused(world.store().write(&refused_unit).await, PortErrorKind::Invalid);
    world.store().write(&other).await.done();
    let revision = other.revision;
    let state = state_of(world, &other.name, Some(&other)).await;
    same!(state, UnitFileState::Current { revision }, "the other unit is written");
    Ok(())
}

pub(super) async fn without_a_validator_only_writes_fail(world: &World) -> Arranged {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    world.remove_validator().await?;
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    refused(world.store().write(&newer).await, PortErrorKind::Unavailable);
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Current { revision }, "the unit is current");
    world.store().remove(&unit.name).await.done();
    assert!(world.store().list().await.done().is_empty(), "no managed unit is listed");
    Ok(())
}

pub(super) async fn writing_an_unchanged_unit_skips_validation(world: &World) -> Arranged {
    let unit = world.unit(0);
    world.store().write(&unit).await.done();
    world.remove_validator().await?;
    world.store().write(&unit).await.done();
    Ok(())
}

pub(super) async fn a_store_that_may_not_be_changed_denies_it_and_can_be_read(world: &World) {
    let (unit, other) = (world.unit(0), world.unit(1));
    world.store().write(&unit).await.done();
    world.lock_up().await;
    refused(world.store().write(&other).await, PortErrorKind::Denied);
    refused(world.store().remove(&unit.name).await, PortErrorKind::Denied);
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Current { revision }, "the unit is current");
    let state = state_of(world, &other.name, Some(&other)).await;
    same!(state, UnitFileState::Absent, "the unit is absent");
}

pub(super) async fn full_disk_is_transient_and_the_old_unit_remains(world: &World) -> Arranged {
    let (unit, other) = (world.unit(0), world.unit(1));
    world.store().write(&unit).await.done();
    let before = world.trace(&unit.name).await;
    world.fill_disk().await?;
    let mut newer = unit.clone();
    newer.description = "Something else ".repeat(1000);
    refused(world.store().write(&newer).await, PortErrorKind::Transient);
    refused(world.store().write(&other).await, PortErrorKind::Transient);
    same!(world.trace(&unit.name).await, before, "the object is untouched");
    let state = state_of(world, &other.name, Some(&other)).await;
    same!(state, UnitFileState::Absent, "the unit is absent");
    world.store().remove(&unit.name).await.done();
    Ok(())
}
