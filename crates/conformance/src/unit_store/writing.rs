//! Writes and removals.

use companion_core::model::container::{AbsolutePath, BindMount, ContainerSpec, Device};
use companion_core::model::unit::UnitFileState;
use companion_core::ports::PortErrorKind;

use super::{World, observed, state_of};
use crate::{Arranged, begin_and_drop, refused};

pub(super) async fn a_written_unit_is_current_and_listed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Current { revision });
    assert_eq!(world.store().list().await.unwrap(), [unit.name].into());
}

pub(super) async fn writing_the_same_unit_again_changes_nothing(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let before = world.trace(&unit.name).await;
    world.store().write(&unit).await.unwrap();
    assert_eq!(world.trace(&unit.name).await, before);
}

pub(super) async fn writing_another_unit_replaces_the_one_before(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    newer.revision = newer.revision.with_restart_epoch(1);
    world.store().write(&newer).await.unwrap();
    let revision = newer.revision;
    let state = state_of(world, &unit.name, Some(&newer)).await;
    assert_eq!(state, UnitFileState::Current { revision });
}

pub(super) async fn unit_writable_by_others_is_wrong_mode_and_fixed_by_a_write(world: &World) {
    let unit = world.unit(0);
    let revision = unit.revision;
    world.store().write(&unit).await.unwrap();
    world.expose(&unit.name).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::WrongMode { revision });
    world.store().write(&unit).await.unwrap();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Current { revision });
}

pub(super) async fn writing_over_a_drifted_unit_restores_it(world: &World) {
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

pub(super) async fn a_removed_unit_is_absent_and_not_listed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.store().remove(&unit.name).await.unwrap();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Absent);
    assert!(world.store().list().await.unwrap().is_empty());
}

pub(super) async fn removing_what_is_not_there_is_a_success(world: &World) {
    let unit = world.unit(0);
    world.store().remove(&unit.name).await.unwrap();
    world.store().write(&unit).await.unwrap();
    world.store().remove(&unit.name).await.unwrap();
    world.store().remove(&unit.name).await.unwrap();
}

pub(super) async fn an_edited_unit_of_ours_can_be_removed(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.edit(&unit.name).await;
    world.store().remove(&unit.name).await.unwrap();
    let state = state_of(world, &unit.name, None).await;
    assert_eq!(state, UnitFileState::Absent);
}

pub(super) async fn rejected_unit_is_not_written_and_the_old_one_remains(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let before = world.trace(&unit.name).await;
    world.refuse(&unit.name).await;
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    refused(world.store().write(&newer).await, PortErrorKind::Invalid);
    assert_eq!(world.trace(&unit.name).await, before);
}

pub(super) async fn a_unit_that_breaks_a_rule_of_its_own_is_invalid_and_not_written(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
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
        assert_eq!(world.trace(&unit.name).await, before);
        let mut none = world.unit(1);
        none.container = other.container;
        refused(world.store().write(&none).await, PortErrorKind::Invalid);
        let state = state_of(world, &none.name, Some(&none)).await;
        assert_eq!(state, UnitFileState::Absent);
    }
}

pub(super) async fn what_one_instance_wrote_another_one_reads(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    let state = observed(&*world.another(), &unit.name, Some(&unit)).await;
    let revision = unit.revision;
    assert_eq!(state.unwrap(), UnitFileState::Current { revision });
    world.another().remove(&unit.name).await.unwrap();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Absent);
}

pub(super) async fn the_units_of_several_companions_do_not_touch_each_other(world: &World) {
    let (one, other) = (world.unit(0), world.unit(1));
    world.store().write(&one).await.unwrap();
    let before = world.trace(&one.name).await;
    world.store().write(&other).await.unwrap();
    world.edit(&other.name).await;
    world.store().remove(&other.name).await.unwrap();
    assert_eq!(world.trace(&one.name).await, before);
}

pub(super) async fn a_removed_unit_leaves_nothing_and_can_be_written_again(world: &World) {
    let unit = world.unit(0);
    let before = world.trace(&unit.name).await;
    world.store().write(&unit).await.unwrap();
    world.store().remove(&unit.name).await.unwrap();
    assert_eq!(world.trace(&unit.name).await, before);
    world.store().write(&unit).await.unwrap();
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Current { revision });
}

pub(super) async fn a_unit_that_was_cut_off_is_never_current(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.cut(&unit.name).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    match state {
        UnitFileState::Drifted { .. } => world.store().write(&unit).await.unwrap(),
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
    world.store().write(&unit).await.unwrap();
    begin_and_drop(world.store().write(&newer)).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert!(matches!(state, UnitFileState::Current { .. }), "{state:?}");
    world.store().write(&newer).await.unwrap();
    let revision = newer.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Current { revision }, "a dropped write has no later effect");
}

pub(super) async fn a_removal_that_is_dropped_half_way_leaves_the_unit_or_nothing(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    begin_and_drop(world.store().remove(&unit.name)).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    let whole = matches!(state, UnitFileState::Current { .. } | UnitFileState::Absent);
    assert!(whole, "{state:?}");
    world.store().write(&unit).await.unwrap();
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Current { revision }, "a dropped write has no later effect");
}

pub(super) async fn of_two_writes_at_once_one_is_left_whole(world: &World) {
    let unit = world.unit(0);
    let mut newer = unit.clone();
    newer.revision = newer.revision.with_restart_epoch(1);
    let (store, another) = (world.store(), world.another());
    let (one, other) = tokio::join!(store.write(&unit), another.write(&newer));
    one.unwrap();
    other.unwrap();
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert!(matches!(state, UnitFileState::Current { .. }), "{state:?}");
}

pub(super) async fn rejected_unit_is_not_created(world: &World) {
    let unit = world.unit(0);
    world.refuse(&unit.name).await;
    refused(world.store().write(&unit).await, PortErrorKind::Invalid);
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Absent);
}

pub(super) async fn a_refusal_of_one_unit_keeps_no_other_from_being_written(world: &World) {
    let (refused_unit, other) = (world.unit(0), world.unit(1));
    world.refuse(&refused_unit.name).await;
    refused(world.store().write(&refused_unit).await, PortErrorKind::Invalid);
    world.store().write(&other).await.unwrap();
    let revision = other.revision;
    let state = state_of(world, &other.name, Some(&other)).await;
    assert_eq!(state, UnitFileState::Current { revision });
}

pub(super) async fn without_a_validator_only_writes_fail(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.remove_judge().await;
    let mut newer = unit.clone();
    newer.description = "Something else".to_owned();
    refused(world.store().write(&newer).await, PortErrorKind::Unavailable);
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Current { revision });
    world.store().remove(&unit.name).await.unwrap();
    assert!(world.store().list().await.unwrap().is_empty());
}

pub(super) async fn writing_an_unchanged_unit_skips_validation(world: &World) {
    let unit = world.unit(0);
    world.store().write(&unit).await.unwrap();
    world.remove_judge().await;
    world.store().write(&unit).await.unwrap();
}

pub(super) async fn a_store_that_may_not_be_changed_denies_it_and_can_be_read(world: &World) {
    let (unit, other) = (world.unit(0), world.unit(1));
    world.store().write(&unit).await.unwrap();
    world.lock_up().await;
    refused(world.store().write(&other).await, PortErrorKind::Denied);
    refused(world.store().remove(&unit.name).await, PortErrorKind::Denied);
    let revision = unit.revision;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    assert_eq!(state, UnitFileState::Current { revision });
    let state = state_of(world, &other.name, Some(&other)).await;
    assert_eq!(state, UnitFileState::Absent);
}

pub(super) async fn full_disk_is_transient_and_the_old_unit_remains(world: &World) -> Arranged {
    let (unit, other) = (world.unit(0), world.unit(1));
    world.store().write(&unit).await.unwrap();
    let before = world.trace(&unit.name).await;
    world.fill_disk().await?;
    let mut newer = unit.clone();
    newer.description = "Something else ".repeat(1000);
    refused(world.store().write(&newer).await, PortErrorKind::Transient);
    refused(world.store().write(&other).await, PortErrorKind::Transient);
    assert_eq!(world.trace(&unit.name).await, before);
    let state = state_of(world, &other.name, Some(&other)).await;
    assert_eq!(state, UnitFileState::Absent);
    world.store().remove(&unit.name).await.unwrap();
    Ok(())
}
