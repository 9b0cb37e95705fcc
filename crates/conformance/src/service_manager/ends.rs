//! Programs that exit, are killed or paused.

use std::time::Duration;

use companion_core::model::container::RestartPolicy;
use companion_core::model::service::{End, LoadedUnit, RunState, ServiceState};

use super::{
    World, becomes, begin, has_failed, is_untouched, kill_and_await_restart, kill_before_restart,
    load, restart, run, start, state_of, stop, unload,
};
use crate::assertions::same;

pub(super) async fn frozen_program_is_up_until_it_is_thawed_restarted_or_stopped(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    world.freeze(&unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_up() && state.frozen, "a frozen service is up and frozen: {state:?}");
    start(world, &unit.name).await;
    assert!(state_of(world, &unit.name).await.frozen, "a start thaws nothing");
    world.thaw(&unit.name).await;
    is_untouched(world, &unit.name, &before).await;
    world.freeze(&unit.name).await;
    restart(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_up() && !state.frozen, "a restart thaws it: {state:?}");
    world.freeze(&unit.name).await;
    stop(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down() && !state.frozen, "a stop ends a frozen service: {state:?}");
    start(world, &unit.name).await;
}

pub(super) async fn a_program_that_ends_well_is_not_started_again_where_only_failures_are(
    world: &World,
) {
    let mut unit = world.ending_unit(0).await;
    unit.container.restart = RestartPolicy::OnFailure;
    let ended = |state: &ServiceState| state.last_end.is_some() && state.is_down();
    let state = begin(world, &unit, "it ended", ended).await;
    same!((state.run, state.last_end), (RunState::Down, Some(End::Success)));
    same!(state.restarts, 0, "it was not restarted");
}

pub(super) async fn a_program_that_ends_with_an_error_and_is_not_started_again_failed(
    world: &World,
) {
    let mut unit = world.ending_unit(3).await;
    unit.container.restart = RestartPolicy::No;
    let state = begin(world, &unit, "it failed", has_failed).await;
    assert!(state.is_down(), "it is not restarted, so it is down: {state:?}");
    same!(state.last_end, Some(End::Exit(3)), "the exit code is that of its program");
    same!((state.restarts, state.running), (0, None), "it was not restarted, and nothing runs");
}

pub(super) async fn a_killed_program_that_is_not_started_again_failed(world: &World) {
    let mut unit = world.unit(0);
    unit.container.restart = RestartPolicy::No;
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let state = becomes(world, &unit.name, "it is down", ServiceState::is_down).await;
    same!(
        (state.run, state.last_end),
        (RunState::Failed, Some(End::Exit(137))),
        "a killed program that is not restarted failed, with the exit code of SIGKILL"
    );
    same!(state.running, None, "nothing runs, so no revision runs");
    // A start needs no reset.
    start(world, &unit.name).await;
}

pub(super) async fn a_stop_of_what_waits_for_its_next_start_keeps_it_down(world: &World) {
    let unit = kill_before_restart(world, 5).await;
    stop(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down(), "a stop keeps down what waits for its restart: {state:?}");
}

pub(super) async fn a_start_of_what_waits_for_its_next_start_is_done_with_it(world: &World) {
    let unit = kill_before_restart(world, 1).await;
    start(world, &unit.name).await;
    assert!(state_of(world, &unit.name).await.is_up(), "the start ends with the pending restart");
}

pub(super) async fn a_restart_of_what_waits_for_its_next_start_does_not_wait(world: &World) {
    let unit = kill_before_restart(world, 600).await;
    restart(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    same!((state.is_up(), state.restarts), (true, 0), "a restart is no automatic one");
}

pub(super) async fn killed_program_comes_back_and_its_restarts_are_counted(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    for expected in 1..=2 {
        let state = kill_and_await_restart(world, &unit.name).await;
        same!((state.restarts, state.running), (expected, Some(unit.revision)));
    }
    restart(world, &unit.name).await;
    same!(state_of(world, &unit.name).await.restarts, 0, "a requested restart resets the count");
}

pub(super) async fn what_runs_after_its_unit_vanished_is_not_started_again(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    unload(world, &unit.name).await;
    world.kill(&unit.name).await;
    let ended = |state: &ServiceState| !state.is_up();
    let state = becomes(world, &unit.name, "it ended", ended).await;
    assert!(
        state.is_down() && state.running.is_none(),
        "what has no unit is not restarted: {state:?}"
    );
    same!(state.unit, LoadedUnit::Absent, "a unit without a file is absent");
}

pub(super) async fn what_does_not_run_has_been_up_for_no_time(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    same!(state_of(world, &unit.name).await.up_for, Duration::ZERO);
    start(world, &unit.name).await;
    let runs_for_a_while = |state: &ServiceState| state.up_for > Duration::ZERO;
    becomes(world, &unit.name, "it runs for a while", runs_for_a_while).await;
    stop(world, &unit.name).await;
    same!(state_of(world, &unit.name).await.up_for, Duration::ZERO);
}
