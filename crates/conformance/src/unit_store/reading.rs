//! Reads of a store.

use std::collections::BTreeMap;

use companion_core::model::container::RestartPolicy;
use companion_core::model::hook::ConfigId;
use companion_core::model::image::ImageId;
use companion_core::model::revision::Fingerprint;
use companion_core::model::unit::{UnitFileState, UnitSpec};
use companion_core::ports::PortErrorKind;

use super::{
    World, is_absent, is_current, lists, location_of, state_of, unit_at, without_rendering, written,
};
use crate::Arranged;
use crate::assertions::{Done as _, same};

pub(super) async fn a_unit_is_compared_under_the_restart_epoch_that_its_file_names(world: &World) {
    let mut unit = world.unit(0);
    unit.revision = unit.revision.with_restart_epoch(3);
    world.store().write(&unit).await.done();
    let mut asked = unit.clone();
    asked.revision = asked.revision.with_restart_epoch(0);
    let (revision, state) = (unit.revision, state_of(world, &unit.name, Some(&asked)).await);
    same!(state, UnitFileState::Current { revision });
}

pub(super) async fn an_edited_unit_is_drifted_whatever_its_mode_and_a_write_restores_it(
    world: &World,
) {
    for is_exposed in [false, true] {
        let unit = written(world, 0).await;
        let mut other = unit.clone();
        other.container.read_only_root = !other.container.read_only_root;
        let revision = unit.revision;
        if is_exposed {
            world.expose(&unit.name).await;
            let state = state_of(world, &unit.name, Some(&other)).await;
            same!(state, UnitFileState::Outdated { revision }, "nobody edited it yet");
        }
        world.edit(&unit.name).await;
        let revision = Some(revision);
        for wanted in [Some(&unit), Some(&other), None] {
            let state = state_of(world, &unit.name, wanted).await;
            same!(state, UnitFileState::Drifted { revision });
        }
        lists(world, [&unit.name]).await;
        world.store().write(&unit).await.done();
        is_current(world, &unit).await;
    }
}

pub(super) async fn a_file_without_a_byte_is_drifted_and_not_listed(world: &World) {
    let unit = written(world, 0).await;
    world.truncate(&unit.name).await;
    let state = state_of(world, &unit.name, Some(&unit)).await;
    same!(state, UnitFileState::Drifted { revision: None });
    lists(world, []).await;
    world.store().write(&unit).await.done();
    is_current(world, &unit).await;
}

pub(super) async fn a_name_that_cannot_be_read_hides_no_other(world: &World) {
    let (hidden, seen) = (written(world, 0).await, written(world, 1).await);
    world.forbid(&hidden.name).await;
    let names = [&hidden, &seen].map(|unit| (unit.name.clone(), Some(unit.clone())));
    let files = world.store().observe(&names.into()).await;
    let kind = files[&hidden.name].as_ref().map_err(|error| error.kind());
    same!(kind.map(|file| &file.state), Err(PortErrorKind::Denied));
    let (revision, state) = (seen.revision, files[&seen.name].as_ref().unwrap().state.clone());
    same!(without_rendering(state), UnitFileState::Current { revision });
}

pub(super) async fn the_answer_has_an_entry_for_every_name(world: &World) {
    let units: Vec<UnitSpec> = (0..5).map(|number| world.unit(number)).collect();
    world.store().write(&units[1]).await.done();
    world.put_unmanaged(&units[2].name).await;
    let names: BTreeMap<_, _> = units.iter().map(|unit| (unit.name.clone(), None)).collect();
    let files = world.store().observe(&names).await;
    assert!(files.keys().eq(names.keys()), "the answer has an entry for every name");
    let nobody = world.store().observe(&BTreeMap::new()).await;
    assert!(nobody.is_empty(), "the answer about no name is empty");
}

pub(super) async fn every_part_of_a_unit_is_compared(world: &World) {
    let unit = written(world, 0).await;
    let revision = unit.revision;
    let unasked = state_of(world, &unit.name, None).await;
    same!(unasked, UnitFileState::Outdated { revision });
    let changes: [fn(&mut UnitSpec); 8] = [
        |unit| unit.description.push_str(", newer"),
        |unit| unit.image = ImageId::new(&"a".repeat(64)).unwrap(),
        |unit| unit.container.no_new_privileges = !unit.container.no_new_privileges,
        |unit| unit.container.restart = RestartPolicy::OnFailure,
        |unit| unit.container.command.push("another".to_owned()),
        |unit| unit.revision.spec = Fingerprint::of(b"another"),
        |unit| unit.revision.image = Fingerprint::of(b"another"),
        |unit| {
            unit.revision.config = Some(ConfigId { digest: Fingerprint::of(b"another"), epoch: 1 })
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = unit.clone();
        change(&mut other);
        let state = state_of(world, &unit.name, Some(&other)).await;
        same!(state, UnitFileState::Outdated { revision }, "change {number}");
    }
}

pub(super) async fn reading_changes_nothing(world: &World) {
    let units = [0, 1, 2].map(|number| world.unit(number));
    world.store().write(&units[0]).await.done();
    world.put_unmanaged(&units[1].name).await;
    let traces = async || {
        let mut traces = Vec::new();
        for unit in &units {
            traces.push(world.trace(&unit.name).await);
        }
        traces
    };
    let before = traces().await;
    for _ in 0..2 {
        world.store().list().await.done();
        for unit in &units {
            state_of(world, &unit.name, Some(unit)).await;
        }
    }
    same!(traces().await, before);
}

pub(super) async fn listing_returns_exactly_the_managed_units(world: &World) {
    let units: Vec<UnitSpec> = (0..6).map(|number| world.unit(number)).collect();
    for unit in &units[..3] {
        world.store().write(unit).await.done();
    }
    world.edit(&units[1].name).await;
    world.expose(&units[2].name).await;
    world.put_unmanaged(&units[3].name).await;
    world.put_garbage(&units[4].name).await;
    let ours = units[..3].iter().map(|unit| unit.name.clone()).collect();
    same!(world.store().list().await.done(), ours);
}

pub(super) async fn every_name_has_its_location_in_every_state(world: &World) {
    let (unit, other) = (world.unit(0), written(world, 1).await);
    let absent = location_of(world, &unit.name).await;
    assert_ne!(location_of(world, &other.name).await, absent, "each name has a separate location");
    world.store().write(&unit).await.done();
    same!(location_of(world, &unit.name).await, absent);
    world.truncate(&unit.name).await;
    same!(location_of(world, &unit.name).await, absent);
    world.store().remove(&unit.name).await.done();
    same!(location_of(world, &unit.name).await, absent);
}

pub(super) async fn a_drop_in_of_a_unit_is_named_and_changes_nothing_else(
    world: &World,
) -> Arranged {
    let (unit, other) = (written(world, 0).await, written(world, 1).await);
    let before = unit_at(world, &unit.name).await;
    world.drop_in(&unit.name).await?;
    let mut after = unit_at(world, &unit.name).await;
    after.drop_ins.retain(|path| !before.drop_ins.contains(path));
    let [path] = &after.drop_ins[..] else { panic!("{after:?}") };
    assert!(path.contains(unit.name.as_str()), "the drop-in of this unit is named: {path}");
    same!(
        (after.state, after.location),
        (before.state, before.location),
        "a drop-in changes nothing else"
    );
    same!(
        unit_at(world, &other.name).await.drop_ins,
        before.drop_ins,
        "it is the drop-in of no other unit"
    );
    same!(world.store().list().await.done().len(), 2, "a drop-in is not listed as a unit");
    world.store().remove(&unit.name).await.done();
    same!(unit_at(world, &unit.name).await.drop_ins, after.drop_ins, "it is not ours");
    Ok(())
}

pub(super) async fn new_or_missing_store_is_empty_and_created_by_a_write(world: &World) {
    lists(world, []).await;
    is_absent(world, &world.unit(0)).await;
    let unit = written(world, 0).await;
    world.lose_store().await;
    lists(world, []).await;
    is_absent(world, &unit).await;
    world.store().remove(&unit.name).await.done();
    world.store().write(&unit).await.done();
    is_current(world, &unit).await;
}
