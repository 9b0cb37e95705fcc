//! Reloads.

use companion_core::model::service::{LoadedUnit, RunState, ServiceState, Verb};
use companion_core::ports::PortErrorKind;
use std::collections::BTreeSet;

use super::{World, has, is_untouched, load, load_all, restart, run, state_of, stop, unload};
use crate::assertions::{Done as _, all_read, refused, same};
use crate::{Arranged, Trait};

pub(super) async fn the_answer_has_an_entry_for_every_name(world: &World) {
    load(world, &world.unit(1)).await;
    let names: BTreeSet<_> = (0..4).map(|number| world.unit(number).name).collect();
    let states = all_read(world.services().observe(&names).await);
    assert!(states.keys().eq(names.iter()), "the answer has an entry for every name");
    same!(states[&world.unit(0).name], ServiceState::absent(), "nobody wrote it");
    let nobody = world.services().observe(&BTreeSet::new()).await;
    assert!(nobody.is_empty(), "the answer about no name is empty");
}

pub(super) async fn a_written_unit_is_not_known_before_a_reload(world: &World) {
    let unit = world.unit(0);
    world.write(&unit).await;
    same!(state_of(world, &unit.name).await.unit, LoadedUnit::Absent);
    let started = world.services().begin(&unit.name, Verb::Start).await;
    refused(started, PortErrorKind::NotFound);
}

pub(super) async fn loading_a_unit_starts_nothing(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let state = state_of(world, &unit.name).await;
    same!(state.run, RunState::Down, "loading starts nothing");
    same!((state.loaded(), state.running), (Some(unit.revision), None));
    assert!(state.is_down(), "a loaded unit that was never started is down: {state:?}");
}

pub(super) async fn a_unit_that_is_shadowed_is_from_elsewhere(world: &World) -> Arranged {
    let unit = world.unit(0);
    load(world, &unit).await;
    world.shadow(&unit.name).await?;
    let state = state_of(world, &unit.name).await;
    assert!(
        matches!(state.unit, LoadedUnit::Elsewhere { .. }),
        "a unit from another location is reported as such: {state:?}"
    );
    world.unshadow(&unit.name).await?;
    let state = state_of(world, &unit.name).await;
    same!(state.loaded(), Some(unit.revision), "without it the unit of the store is loaded");
    Ok(())
}

pub(super) async fn a_newer_unit_reaches_the_process_by_a_load_and_a_restart(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let mut newer = unit.clone();
    newer.revision = newer.revision.with_restart_epoch(1);
    let (old, new) = (Some(unit.revision), Some(newer.revision));
    world.write(&newer).await;
    if has(world, Trait::LoadsUnits) {
        same!(state_of(world, &unit.name).await.loaded(), old, "written only");
    }
    load_all(world).await;
    let state = state_of(world, &unit.name).await;
    same!((state.loaded(), state.running), (new, old), "loading a unit changes no process");
    restart(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    same!((state.loaded(), state.running), (new, new), "a restart runs the loaded unit");
}

pub(super) async fn an_invalid_unit_fails_no_load_and_hides_no_other(world: &World) {
    let (running, refused, sound) = (world.unit(0), world.unit(1), world.unit(2));
    run(world, &running).await;
    for refused in [&running, &refused] {
        world.write_refused(&refused.name).await;
    }
    load(world, &sound).await;
    for (refused, revision) in [(&running, Some(running.revision)), (&refused, None)] {
        let state = state_of(world, &refused.name).await;
        same!(state.unit, LoadedUnit::Absent, "a unit that the host cannot use is absent");
        same!(state.running, revision, "its service runs on with its revision");
    }
    let state = state_of(world, &sound.name).await;
    same!(state.loaded(), Some(sound.revision), "another unit is loaded nevertheless");
}

pub(super) async fn unit_whose_file_vanished_runs_on_until_it_comes_back_or_is_stopped(
    world: &World,
) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    unload(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    same!(state.unit, LoadedUnit::Absent, "a unit without a file is absent");
    assert!(state.is_up(), "its service runs on: {state:?}");
    same!(
        (state.loaded(), state.running),
        (None, Some(unit.revision)),
        "nothing is loaded, and the revision that runs is still reported"
    );
    load(world, &unit).await;
    let state = state_of(world, &unit.name).await;
    same!(state.loaded(), Some(unit.revision), "a unit that comes back is loaded");
    same!((state.running, state.run_id), (before.running, before.run_id));
    same!(state.restarts, 0, "its return counts as no restart");
    unload(world, &unit.name).await;
    stop(world, &unit.name).await;
    assert!(!state_of(world, &unit.name).await.is_up(), "a service without a unit can be stopped");
}

pub(super) async fn reading_changes_nothing(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    for _ in 0..3 {
        is_untouched(world, &unit.name, &before).await;
    }
}

pub(super) async fn a_reload_forgets_a_unit_whose_file_is_removed_and_that_does_not_run(
    world: &World,
) {
    let unit = world.unit(0);
    load(world, &unit).await;
    world.delete(&unit.name).await;
    let state = state_of(world, &unit.name).await;
    same!(state.loaded(), Some(unit.revision), "before the reload it is known as it was");
    world.services().reload().await.done();
    same!(state_of(world, &unit.name).await, ServiceState::absent());
}

pub(super) async fn a_reload_without_a_change_changes_nothing(world: &World) {
    let (loaded, running) = (world.unit(0), world.unit(1));
    load(world, &loaded).await;
    run(world, &running).await;
    let one = state_of(world, &loaded.name).await;
    let other = state_of(world, &running.name).await;
    for _ in 0..3 {
        world.services().reload().await.done();
    }
    is_untouched(world, &loaded.name, &one).await;
    is_untouched(world, &running.name, &other).await;
}

pub(super) async fn concurrent_reloads_both_load_the_current_files(world: &World) {
    let unit = world.unit(0);
    world.write(&unit).await;
    let (services, another) = (world.services(), world.another());
    let (one, other) = tokio::join!(services.reload(), another.reload());
    one.done();
    other.done();
    same!(state_of(world, &unit.name).await.loaded(), Some(unit.revision));
}

pub(super) async fn what_another_instance_loaded_is_seen_by_this_one(world: &World) {
    let unit = world.unit(0);
    world.write(&unit).await;
    world.another().reload().await.done();
    same!(state_of(world, &unit.name).await.loaded(), Some(unit.revision));
}

pub(super) async fn an_unmanaged_unit_and_its_service_name_no_revision(world: &World) -> Arranged {
    let name = world.unit(0).name;
    world.write_unmanaged(&name).await;
    load_all(world).await;
    same!(state_of(world, &name).await.unit, LoadedUnit::FromStore { revision: None });
    world.start_unmanaged(&name).await?;
    let state = state_of(world, &name).await;
    assert!(state.is_up(), "the unmanaged service runs: {state:?}");
    same!(state.running, None, "an unmanaged service names no revision");
    Ok(())
}

pub(super) async fn a_drop_in_is_named_once_it_is_loaded(world: &World) -> Arranged {
    let (unit, other) = (world.unit(0), world.unit(1));
    load(world, &unit).await;
    load(world, &other).await;
    let before = state_of(world, &unit.name).await.drop_ins;
    world.drop_in(&unit.name).await?;
    same!(state_of(world, &unit.name).await.drop_ins, before, "it is not in force yet");
    world.services().reload().await.done();
    let mut after = state_of(world, &unit.name).await.drop_ins;
    after.retain(|path| !before.contains(path));
    assert!(
        matches!(&after[..], [path] if path.contains(unit.name.as_str())),
        "exactly the drop-in of this unit is named: {after:?}"
    );
    same!(state_of(world, &other.name).await.drop_ins, before, "it is no other unit's");
    same!(state_of(world, &unit.name).await.loaded(), Some(unit.revision), "it is the same unit");
    Ok(())
}

pub(super) async fn reload_is_refused_if_a_broken_unmanaged_file_would_unload_units(
    world: &World,
) -> Arranged {
    let (unit, other) = (world.unit(0), world.unit(1));
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    world.put_broken_unmanaged_file().await?;
    world.write(&other).await;
    refused(world.services().reload().await, PortErrorKind::Conflict);
    is_untouched(world, &unit.name, &before).await;
    same!(state_of(world, &other.name).await.unit, LoadedUnit::Absent, "nothing was loaded");
    world.remove_broken_unmanaged_file().await?;
    world.services().reload().await.done();
    same!(state_of(world, &other.name).await.loaded(), Some(other.revision));
    Ok(())
}

pub(super) async fn reload_without_a_generator_unloads_no_managed_unit(world: &World) -> Arranged {
    let unit = world.unit(0);
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    let services = world.without_generator().await?;
    refused(services.reload().await, PortErrorKind::Unavailable);
    is_untouched(world, &unit.name, &before).await;
    Ok(())
}

pub(super) async fn rate_limited_reload_is_transient_and_loads_nothing(world: &World) -> Arranged {
    let unit = world.unit(0);
    world.limit_reloads().await?;
    let mut reloaded = Ok(());
    for _ in 0..10 {
        reloaded = world.services().reload().await;
        if reloaded.is_err() {
            break;
        }
    }
    refused(reloaded, PortErrorKind::Transient);
    world.write(&unit).await;
    refused(world.services().reload().await, PortErrorKind::Transient);
    same!(state_of(world, &unit.name).await.unit, LoadedUnit::Absent);
    Ok(())
}
