//! Failed, rate-limited, masked and missing units.

use std::collections::BTreeSet;

use companion_core::model::container::RestartPolicy;
use companion_core::model::service::{End, LoadedUnit, RunState, ServiceState, Verb};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::PortErrorKind;

use super::{
    World, begin, carry_out, has, has_failed, kill_and_await_restart, load, load_all, restart, run,
    start, state_of, stop, unload,
};
use crate::assertions::{Done as _, all_read, each_refused, refused, same};
use crate::{Arranged, Trait};

/// A unit with a missing image and without restarts.
async fn fail(world: &World) -> UnitSpec {
    let mut unit = world.unit(0);
    unit.image = world.absent_image();
    unit.container.restart = RestartPolicy::No;
    load(world, &unit).await;
    refused(carry_out(world, &unit.name, Verb::Start).await, PortErrorKind::Transient);
    unit
}

pub(super) async fn a_start_without_the_image_fails_and_nothing_runs(world: &World) {
    let unit = fail(world).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down(), "nothing runs and nothing is about to start: {state:?}");
    same!(state.running, None, "nothing runs, so no revision runs");
    same!(state.loaded(), Some(unit.revision), "a failed start unloads nothing");
}

pub(super) async fn a_failed_unit_stays_failed_until_it_is_reset(world: &World) {
    let unit = fail(world).await;
    let state = state_of(world, &unit.name).await;
    same!((state.run, state.last_end), (RunState::Failed, Some(world.failed_start())));
    stop(world, &unit.name).await;
    same!(state_of(world, &unit.name).await.run, RunState::Failed, "a stop forgives nothing");
    if has(world, Trait::KeepsFailures) {
        load_all(world).await;
        same!(state_of(world, &unit.name).await.run, RunState::Failed, "a reload forgives nothing");
        world.services().reset_failed(&world.unit(1).name).await.done();
        same!(
            state_of(world, &unit.name).await.run,
            RunState::Failed,
            "it is another unit's reset"
        );
        world.services().reset_failed(&unit.name).await.done();
        let state = state_of(world, &unit.name).await;
        same!((state.run, state.has_failed()), (RunState::Down, false), "a reset forgives");
    }
}

pub(super) async fn held_unit_can_be_stopped_and_is_not_started_before_it_is_released(
    world: &World,
) -> Arranged {
    let unit = world.unit(0);
    world.hold(&unit.name).await?;
    stop(world, &unit.name).await;
    assert!(state_of(world, &unit.name).await.is_down(), "what is held and does not run is down");
    world.release(&unit.name).await?;
    load(world, &unit).await;
    world.hold(&unit.name).await?;
    assert!(
        matches!(state_of(world, &unit.name).await.unit, LoadedUnit::Held { .. }),
        "a unit that is held back says so"
    );
    for verb in [Verb::Start, Verb::Restart] {
        refused(world.services().begin(&unit.name, verb).await, PortErrorKind::Denied);
    }
    world.release(&unit.name).await?;
    same!(state_of(world, &unit.name).await.loaded(), Some(unit.revision), "it is released");
    start(world, &unit.name).await;
    world.hold(&unit.name).await?;
    let state = state_of(world, &unit.name).await;
    assert!(
        state.is_up() && matches!(state.unit, LoadedUnit::Held { .. }),
        "a hold ends nothing that runs, and is reported: {state:?}"
    );
    same!(state.running, Some(unit.revision), "it runs the same revision");
    stop(world, &unit.name).await;
    assert!(!state_of(world, &unit.name).await.is_up(), "a held service can be stopped");
    Ok(())
}

pub(super) async fn a_unit_that_was_started_too_often_starts_only_after_a_reset(world: &World) {
    let unit = world.ending_unit(1).await;
    let state = begin(world, &unit, "it failed", has_failed).await;
    same!(state.last_end, Some(End::Exit(1)), "that of its last end");
    assert!(state.restarts >= 3, "it was restarted until the limit: {state:?}");
    world.repair(&unit.name).await;
    refused(carry_out(world, &unit.name, Verb::Start).await, PortErrorKind::Transient);
    world.services().reset_failed(&unit.name).await.done();
    start(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    same!((state.is_up(), state.restarts), (true, 0));
}

pub(super) async fn a_unit_that_ended_well_too_often_says_that_it_hit_its_limit(world: &World) {
    let unit = world.ending_unit(0).await;
    let state = begin(world, &unit, "it failed", has_failed).await;
    assert!(state.is_down(), "it is not tried again");
    same!(state.last_end, Some(End::StartLimit), "the limit is the reason, because no run failed");
}

pub(super) async fn repaired_service_starts_without_a_reset(world: &World) {
    let mut unit = fail(world).await;
    unit.image = world.unit(0).image;
    load(world, &unit).await;
    if has(world, Trait::FailedStarts) {
        same!(state_of(world, &unit.name).await.run, RunState::Failed);
    }
    start(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    same!((state.is_up(), state.last_end), (true, None), "a start forgets the failure before it");
}

pub(super) async fn a_failed_unit_whose_file_is_removed_is_forgotten_by_a_reset(world: &World) {
    let unit = fail(world).await;
    unload(world, &unit.name).await;
    world.services().reset_failed(&unit.name).await.done();
    same!(state_of(world, &unit.name).await, ServiceState::absent());
}

pub(super) async fn resetting_what_did_not_fail_only_forgets_its_restarts(world: &World) {
    let unit = world.unit(0);
    // It is not even loaded.
    world.services().reset_failed(&unit.name).await.done();
    run(world, &unit).await;
    let before = kill_and_await_restart(world, &unit.name).await;
    world.services().reset_failed(&unit.name).await.done();
    let after = state_of(world, &unit.name).await;
    same!((after.run_id, after.running), (before.run_id, before.running), "a reset touches no run");
    same!((before.restarts, after.restarts), (1, 0), "a reset forgets the restarts");
}

pub(super) async fn a_unit_that_waits_long_between_restarts_has_no_start_limit(world: &World) {
    let mut unit = world.unit(0);
    unit.container.restart_delay = Some(2);
    run(world, &unit).await;
    for _ in 0..7 {
        restart(world, &unit.name).await;
    }
    assert!(state_of(world, &unit.name).await.is_up(), "seven restarts hit no limit");
}

pub(super) async fn a_unit_that_loops_is_counted_and_not_down_before_its_limit(world: &World) {
    let mut unit = world.ending_unit(1).await;
    unit.container.restart_delay = Some(2);
    let again =
        |state: &ServiceState| state.restarts >= 1 && state.run == RunState::BetweenRestarts;
    let state = begin(world, &unit, "it waits again", again).await;
    assert!(!state.is_down(), "a service in a loop is not down: {state:?}");
    same!(state.last_end, Some(End::Exit(1)), "the exit code is that of its program");
    stop(world, &unit.name).await;
}

pub(super) async fn a_service_that_cannot_be_read_hides_no_other(world: &World) -> Arranged {
    let [hidden, seen, absent] = [0, 1, 2].map(|number| world.unit(number));
    world.write(&hidden).await;
    run(world, &seen).await;
    world.make_unreadable(&hidden.name).await?;
    let names = BTreeSet::from([&hidden, &seen, &absent].map(|unit| unit.name.clone()));
    let mut states = world.services().observe(&names).await;
    assert!(states.keys().eq(&names), "the answer has an entry for every name");
    assert!(
        states.remove(&hidden.name).is_some_and(|state| state.is_err()),
        "the entry of the unreadable service is an error"
    );
    let states = all_read(states);
    assert!(states[&seen.name].is_up(), "the readable service is up");
    same!(states[&absent.name], ServiceState::absent(), "a unit that does not exist is absent");
    Ok(())
}

pub(super) async fn without_a_service_manager_every_call_is_unavailable(world: &World) -> Arranged {
    let unit = world.unit(0);
    load(world, &unit).await;
    let job = world.services().begin(&unit.name, Verb::Start).await.done();
    let services = world.without_manager().await?;
    let name = unit.name;
    let names = BTreeSet::from([name.clone(), world.unit(1).name]);
    let kind = PortErrorKind::Unavailable;
    each_refused(services.observe(&names).await, &names, kind);
    refused(services.reload().await, kind);
    refused(services.wait(job).await, kind);
    for verb in [Verb::Start, Verb::Stop, Verb::Restart] {
        refused(services.begin(&name, verb).await.map(drop), kind);
    }
    refused(services.reset_failed(&name).await, kind);
    Ok(())
}
