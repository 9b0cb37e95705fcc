//! Writes and removals.

use companion_core::model::container::{AbsolutePath, BindMount, ContainerSpec, Device};
use companion_core::model::unit::UnitFileState;
use companion_core::ports::PortErrorKind;

use super::{World, is_absent, is_current, lists, newer, observed, state_of, written};
use crate::Arranged;
use crate::assertions::{Done as _, begin_and_drop, refused, same};

pub(super) async fn writing_the_same_unit_again_changes_nothing(world: &World) {
    let unit = written(world, 0).await;
    let before = world.trace(&unit.name).await;
    world.store().write(&unit).await.done();
    same!(world.trace(&unit.name).await, before);
}

pub(super) async fn writing_another_unit_replaces_the_one_before(world: &World) {
    let unit = written(world, 0).await;
    let mut newer = newer(&unit);
    newer.revision = newer.revision.with_restart_epoch(1);
    world.store().write(&newer).await.done();
    is_current(world, &newer).await;
}

pub(super) async fn unit_writable_by_others_is_wrong_mode_and_fixed_by_a_write(world: &World) {
    let unit = written(world, 0).await;
    world.expose(&unit.name).await;
    let (revision, state) = (unit.revision, state_of(world, &unit.name, Some(&unit)).await);
    same!(state, UnitFileState::WrongMode { revision }, "others may write it");
    world.store().write(&unit).await.done();
    is_current(world, &unit).await;
}

pub(super) async fn a_removed_unit_leaves_nothing_and_can_be_written_again(world: &World) {
    let nothing = world.trace(&world.unit(0).name).await;
    for is_edited in [false, true] {
        let unit = written(world, 0).await;
        if is_edited {
            world.edit(&unit.name).await;
        }
        for _ in ["what is there", "what is not there"] {
            world.store().remove(&unit.name).await.done();
            is_absent(world, &unit).await;
            lists(world, []).await;
        }
        same!(world.trace(&unit.name).await, nothing);
    }
    let unit = written(world, 0).await;
    is_current(world, &unit).await;
}

pub(super) async fn rejected_unit_changes_nothing_and_keeps_no_other_from_being_written(
    world: &World,
) -> Arranged {
    let (unit, none) = (written(world, 0).await, world.unit(1));
    let before = world.trace(&unit.name).await;
    world.refuse(&unit.name).await?;
    world.refuse(&none.name).await?;
    refused(world.store().write(&newer(&unit)).await, PortErrorKind::Invalid);
    refused(world.store().write(&none).await, PortErrorKind::Invalid);
    same!(world.trace(&unit.name).await, before);
    is_absent(world, &none).await;
    let other = written(world, 2).await;
    is_current(world, &other).await;
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
    let unit = written(world, 0).await;
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
        is_absent(world, &none).await;
    }
}

pub(super) async fn what_one_instance_wrote_another_one_reads(world: &World) {
    let unit = written(world, 0).await;
    let state = observed(&*world.another(), &unit.name, Some(&unit)).await;
    let revision = unit.revision;
    same!(state.done(), UnitFileState::Current { revision });
    world.another().remove(&unit.name).await.done();
    is_absent(world, &unit).await;
}

pub(super) async fn the_units_of_several_companions_do_not_touch_each_other(world: &World) {
    let (one, other) = (written(world, 0).await, world.unit(1));
    let before = world.trace(&one.name).await;
    world.store().write(&other).await.done();
    world.edit(&other.name).await;
    world.store().remove(&other.name).await.done();
    same!(world.trace(&one.name).await, before, "units of other companions stay");
}

pub(super) async fn a_unit_that_was_cut_off_is_never_current(world: &World) {
    let unit = written(world, 0).await;
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
    let unit = written(world, 0).await;
    let mut newer = unit.clone();
    newer.revision = newer.revision.with_restart_epoch(1);
    begin_and_drop(world.store().write(&newer)).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert!(matches!(state, UnitFileState::Current { .. }), "the unit is whole: {state:?}");
    world.store().write(&newer).await.done();
    is_current(world, &newer).await;
}

pub(super) async fn a_removal_that_is_dropped_half_way_leaves_the_unit_or_nothing(world: &World) {
    let unit = written(world, 0).await;
    begin_and_drop(world.store().remove(&unit.name)).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    let whole = matches!(state, UnitFileState::Current { .. } | UnitFileState::Absent);
    assert!(whole, "the unit is whole or absent: {state:?}");
    world.store().write(&unit).await.done();
    is_current(world, &unit).await;
}

pub(super) async fn concurrent_writes_leave_one_of_them_whole(world: &World) {
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

pub(super) async fn without_a_validator_only_writes_of_changes_fail(world: &World) -> Arranged {
    let unit = written(world, 0).await;
    world.remove_validator().await?;
    refused(world.store().write(&newer(&unit)).await, PortErrorKind::Unavailable);
    world.store().write(&unit).await.done();
    is_current(world, &unit).await;
    world.store().remove(&unit.name).await.done();
    lists(world, []).await;
    Ok(())
}

pub(super) async fn a_store_that_may_not_be_changed_denies_it_and_can_be_read(world: &World) {
    let (unit, other) = (written(world, 0).await, world.unit(1));
    world.lock_up().await;
    refused(world.store().write(&other).await, PortErrorKind::Denied);
    refused(world.store().remove(&unit.name).await, PortErrorKind::Denied);
    is_current(world, &unit).await;
    is_absent(world, &other).await;
}

pub(super) async fn full_disk_is_transient_and_the_old_unit_remains(world: &World) -> Arranged {
    let (unit, other) = (written(world, 0).await, world.unit(1));
    let before = world.trace(&unit.name).await;
    world.fill_disk().await?;
    let mut newer = unit.clone();
    newer.description = "Something else ".repeat(1000);
    refused(world.store().write(&newer).await, PortErrorKind::Transient);
    refused(world.store().write(&other).await, PortErrorKind::Transient);
    same!(world.trace(&unit.name).await, before);
    is_absent(world, &other).await;
    world.store().remove(&unit.name).await.done();
    Ok(())
}
