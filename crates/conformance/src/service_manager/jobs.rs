//! Starts, stops and restarts: queueing, merging, replacing and waiting.

use companion_core::model::service::{End, RunState, ServiceState, Verb};
use companion_core::ports::{Job, PortErrorKind};

use super::{
    World, becomes, has, is_untouched, kill_and_await_restart, load, load_all, rendered_state_of,
    restart, run, start, state_of, stop,
};
use crate::assertions::{Done as _, refused, same};
use crate::{Arranged, Trait};

pub(super) async fn a_unit_that_is_not_loaded_can_neither_be_started_nor_stopped(world: &World) {
    let name = world.unit(0).name;
    let services = world.services();
    for verb in [Verb::Start, Verb::Restart, Verb::Stop] {
        let started = services.begin(&name, verb).await;
        refused(started.map(drop), PortErrorKind::NotFound);
    }
}

pub(super) async fn a_started_unit_runs_at_the_revision_that_was_loaded(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_up(), "a started service is up: {state:?}");
    same!((state.loaded(), state.running), (Some(unit.revision), Some(unit.revision)));
    same!((state.restarts, state.busy, state.frozen), (0, false, false));
    let rendered = rendered_state_of(world, &unit.name).await;
    assert!(
        rendered.loaded().is_some_and(|revision| revision.rendering.is_some()),
        "the loaded unit names the rendering of the unit store"
    );
    same!(rendered.running, rendered.loaded(), "what runs names the same rendering");
}

pub(super) async fn starting_what_runs_is_done_and_changes_nothing(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let mut newer = unit.clone();
    newer.revision = newer.revision.with_restart_epoch(1);
    load(world, &newer).await;
    start(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    same!(state.running, Some(unit.revision), "it still runs what it ran");
}

pub(super) async fn a_stopped_unit_is_down_and_stays_loaded_and_stopped(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    stop(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down(), "a stopped service is down: {state:?}");
    same!(
        (state.loaded(), state.running),
        (Some(unit.revision), None),
        "its unit stays loaded, and nothing runs"
    );
    stop(world, &unit.name).await;
    load_all(world).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down(), "a reload starts nothing that was stopped: {state:?}");
    same!((state.run, state.has_failed()), (RunState::Down, false), "a stop is no failure");
}

pub(super) async fn each_start_is_another_run(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    restart(world, &unit.name).await;
    assert!(state_of(world, &unit.name).await.is_up(), "a restart starts what does not run");
    let mut seen = Vec::new();
    for number in 0..3 {
        match number {
            0 => start(world, &unit.name).await,
            1 => restart(world, &unit.name).await,
            _ => {
                stop(world, &unit.name).await;
                start(world, &unit.name).await;
            }
        }
        let state = state_of(world, &unit.name).await;
        same!(state.running, Some(unit.revision), "it runs the loaded revision: {number}");
        same!((state.restarts, state.last_end), (0, None), "{number}: nobody restarted it");
        let run_id = state.run_id.expect("what runs has one");
        assert!(!seen.contains(&run_id), "{number}: {seen:?}");
        seen.push(run_id);
        load_all(world).await;
        start(world, &unit.name).await;
        let state = state_of(world, &unit.name).await;
        same!(state.run_id.as_ref(), seen.last(), "{number}: it still runs");
    }
    let state = kill_and_await_restart(world, &unit.name).await;
    let run_id = state.run_id.expect("what runs has one");
    assert!(!seen.contains(&run_id), "started by the service manager: {seen:?}");
}

pub(super) async fn two_jobs_of_one_unit_are_both_done_whoever_waits(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let (services, another) = (world.services(), world.another());
    for verb in [Verb::Start, Verb::Stop] {
        let one = services.begin(&unit.name, verb).await.done();
        let other = another.begin(&unit.name, verb).await.done();
        services.wait(other).await.done();
        for _ in ["the first time", "again"] {
            another.wait(one.clone()).await.done();
        }
        let state = state_of(world, &unit.name).await;
        same!((state.is_up(), state.is_down()), (verb == Verb::Start, verb == Verb::Stop));
    }
}

pub(super) async fn of_a_start_and_a_stop_the_last_one_counts(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let services = world.services();
    let started = services.begin(&unit.name, Verb::Start).await.done();
    let ended = services.begin(&unit.name, Verb::Stop).await.done();
    services.wait(ended).await.done();
    services.wait(started).await.done();
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down() && state.running.is_none(), "the last request was a stop: {state:?}");
    // Nothing is in its way.
    start(world, &unit.name).await;
}

pub(super) async fn of_a_stop_and_a_start_the_last_one_counts(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    let services = world.services();
    let ended = services.begin(&unit.name, Verb::Stop).await.done();
    let started = services.begin(&unit.name, Verb::Start).await.done();
    services.wait(started).await.done();
    services.wait(ended).await.done();
    let after = state_of(world, &unit.name).await;
    assert!(after.is_up(), "the last request was a start: {after:?}");
    assert_ne!(after.run_id, before.run_id, "the stop was done too, so this is another run");
}

pub(super) async fn a_job_that_is_replaced_ends_without_an_error(world: &World) {
    let unit = world.stubborn_unit();
    run(world, &unit).await;
    let services = world.services();
    let ended = services.begin(&unit.name, Verb::Stop).await.done();
    let pending = |state: &ServiceState| state.busy;
    becomes(world, &unit.name, "it is being stopped", pending).await;
    let started = services.begin(&unit.name, Verb::Start).await.done();
    services.wait(ended).await.done();
    services.wait(started).await.done();
    assert!(state_of(world, &unit.name).await.is_up(), "the last request was a start");
}

pub(super) async fn program_that_ignores_a_stop_is_killed_and_the_stop_is_done(world: &World) {
    let unit = world.stubborn_unit();
    run(world, &unit).await;
    stop(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down() && state.running.is_none(), "a killed program is down: {state:?}");
    same!(
        (state.run, state.last_end),
        (RunState::Failed, Some(End::Exit(137))),
        "a stop that had to kill leaves the service failed, with the exit code of SIGKILL"
    );
}

pub(super) async fn a_job_of_nobody_is_invalid(world: &World) {
    let job = Job { id: "nobody's".to_owned(), companion: world.unit(0).name };
    refused(world.services().wait(job).await, PortErrorKind::Invalid);
}

pub(super) async fn jobs_of_several_units_run_concurrently(world: &World) {
    let units = [0, 1, 2].map(|number| world.unit(number));
    for unit in &units {
        world.write(unit).await;
    }
    let services = world.services();
    load_all(world).await;
    let mut jobs = Vec::new();
    for unit in &units {
        jobs.push(services.begin(&unit.name, Verb::Start).await.done());
    }
    for job in jobs.into_iter().rev() {
        services.wait(job).await.done();
    }
    for unit in &units {
        same!(state_of(world, &unit.name).await.running, Some(unit.revision));
    }
}

pub(super) async fn what_happens_to_one_unit_touches_no_other(world: &World) {
    let (one, other) = (world.unit(0), world.unit(1));
    run(world, &one).await;
    let before = state_of(world, &one.name).await;
    run(world, &other).await;
    restart(world, &other.name).await;
    kill_and_await_restart(world, &other.name).await;
    stop(world, &other.name).await;
    if has(world, Trait::KeepsFailures) {
        world.services().reset_failed(&other.name).await.done();
    }
    is_untouched(world, &one.name, &before).await;
}

pub(super) async fn a_job_that_is_not_waited_for_long_enough_may_yet_be_done(
    world: &World,
) -> Arranged {
    let unit = world.unit(0);
    load(world, &unit).await;
    let impatient = world.impatient().await?;
    let started = impatient.begin(&unit.name, Verb::Start).await.done();
    refused(impatient.wait(started).await, PortErrorKind::Transient);
    becomes(world, &unit.name, "it runs", ServiceState::is_up).await;
    Ok(())
}
