//! Programs that exit, are killed or paused.

use std::time::Duration;

use companion_core::model::container::RestartPolicy;
use companion_core::model::service::{End, LoadedUnit, RunState, ServiceState, Verb};

use super::{World, becomes, load, restart, run, start, state_of, stop};

pub(super) async fn a_program_that_was_killed_waits_for_its_next_start_and_comes_back(
    world: &World,
) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
    let state = becomes(world, &unit.name, "it waits", waits).await;
    assert!(!state.is_down(), "{state:?}");
    let state = becomes(world, &unit.name, "it runs", ServiceState::is_up).await;
    assert_eq!((state.restarts, state.running), (1, Some(unit.revision)));
}

pub(super) async fn a_frozen_program_is_active_and_paused(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.pause(&unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_up() && state.frozen, "{state:?}");
    restart(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_up() && !state.frozen, "{state:?}");
}

pub(super) async fn a_program_that_ends_well_is_not_started_again_where_only_failures_are(
    world: &World,
) {
    let mut unit = world.ending_unit(0).await;
    unit.container.restart = RestartPolicy::OnFailure;
    load(world, &unit).await;
    drop(world.services().begin(&unit.name, Verb::Start).await.unwrap());
    let ended = |state: &ServiceState| state.last_end.is_some() && state.is_down();
    let state = becomes(world, &unit.name, "it ended", ended).await;
    assert_eq!((state.run, state.last_end), (RunState::Down, Some(End::Success)));
    assert_eq!(state.restarts, 0);
}

pub(super) async fn a_program_that_ends_with_an_error_and_is_not_started_again_failed(
    world: &World,
) {
    let mut unit = world.ending_unit(3).await;
    unit.container.restart = RestartPolicy::No;
    load(world, &unit).await;
    drop(world.services().begin(&unit.name, Verb::Start).await.unwrap());
    let failed = |state: &ServiceState| state.run == RunState::Failed;
    let state = becomes(world, &unit.name, "it failed", failed).await;
    assert!(state.is_down(), "{state:?}");
    assert_eq!(state.last_end, Some(End::Exit(3)));
    assert_eq!((state.restarts, state.running), (0, None));
}

pub(super) async fn a_killed_program_that_is_not_started_again_failed(world: &World) {
    let mut unit = world.unit(0);
    unit.container.restart = RestartPolicy::No;
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let state = becomes(world, &unit.name, "it is down", ServiceState::is_down).await;
    assert_eq!((state.run, state.last_end), (RunState::Failed, Some(End::Exit(137))));
    assert_eq!(state.running, None);
    // A start needs no reset.
    start(world, &unit.name).await;
}

pub(super) async fn a_stop_of_what_waits_for_its_next_start_keeps_it_down(world: &World) {
    let mut unit = world.unit(0);
    unit.container.restart_delay = Some(5);
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
    becomes(world, &unit.name, "it waits", waits).await;
    stop(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down(), "{state:?}");
}

pub(super) async fn a_start_of_what_waits_for_its_next_start_is_done_with_it(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
    becomes(world, &unit.name, "it waits", waits).await;
    start(world, &unit.name).await;
    assert!(state_of(world, &unit.name).await.is_up());
}

pub(super) async fn a_restart_of_what_waits_for_its_next_start_does_not_wait(world: &World) {
    let mut unit = world.unit(0);
    unit.container.restart_delay = Some(600);
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
    becomes(world, &unit.name, "it waits", waits).await;
    restart(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.is_up(), state.restarts), (true, 0));
}

pub(super) async fn automatic_restarts_are_counted_until_the_next_start(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    for expected in 1..=2 {
        world.kill(&unit.name).await;
        let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
        becomes(world, &unit.name, "it waits", waits).await;
        let state = becomes(world, &unit.name, "it runs", ServiceState::is_up).await;
        assert_eq!(state.restarts, expected);
    }
    restart(world, &unit.name).await;
    assert_eq!(state_of(world, &unit.name).await.restarts, 0);
}

pub(super) async fn what_runs_after_its_unit_vanished_is_not_started_again(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.delete(&unit.name).await;
    world.services().reload().await.unwrap();
    world.kill(&unit.name).await;
    let ended = |state: &ServiceState| !state.is_up();
    let state = becomes(world, &unit.name, "it ended", ended).await;
    assert!(state.is_down() && state.running.is_none(), "{state:?}");
    assert_eq!(state.unit, LoadedUnit::Absent);
}

pub(super) async fn unfrozen_program_is_the_same_run(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    world.pause(&unit.name).await;
    // It runs, if frozen.
    start(world, &unit.name).await;
    assert!(state_of(world, &unit.name).await.frozen);
    world.unpause(&unit.name).await;
    let mut after = state_of(world, &unit.name).await;
    after.up_for = before.up_for;
    assert_eq!(after, before);
}

pub(super) async fn a_frozen_program_can_be_stopped(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.pause(&unit.name).await;
    stop(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down() && !state.frozen, "{state:?}");
    start(world, &unit.name).await;
}

pub(super) async fn killing_one_program_ends_no_other(world: &World) {
    let (one, other) = (world.unit(0), world.unit(1));
    run(world, &one).await;
    run(world, &other).await;
    let before = state_of(world, &one.name).await;
    world.kill(&other.name).await;
    let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
    becomes(world, &other.name, "it waits", waits).await;
    let mut after = state_of(world, &one.name).await;
    after.up_for = before.up_for;
    assert_eq!(after, before);
}

pub(super) async fn what_does_not_run_has_been_active_for_no_time(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    assert_eq!(state_of(world, &unit.name).await.up_for, Duration::ZERO);
    start(world, &unit.name).await;
    let runs_for_a_while = |state: &ServiceState| state.up_for > Duration::ZERO;
    becomes(world, &unit.name, "it runs for a while", runs_for_a_while).await;
    stop(world, &unit.name).await;
    assert_eq!(state_of(world, &unit.name).await.up_for, Duration::ZERO);
}
