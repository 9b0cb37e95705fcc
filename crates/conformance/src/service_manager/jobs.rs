//! Starts, stops and restarts: queueing, merging, replacing and waiting.

use companion_core::model::service::{End, RunState, ServiceState, Verb};
use companion_core::ports::{Job, PortErrorKind, PortResult};

use super::{World, becomes, load, rendered_state_of, restart, run, start, state_of, stop};
use crate::{Arranged, refused};

pub(super) async fn a_unit_that_is_not_loaded_can_neither_be_started_nor_stopped(world: &World) {
    let name = world.unit(0).name;
    let services = world.services();
    let not_found = |result: PortResult<_>| refused(result.map(drop), PortErrorKind::NotFound);
    not_found(services.begin(&name, Verb::Start).await);
    not_found(services.begin(&name, Verb::Restart).await);
    not_found(services.begin(&name, Verb::Stop).await);
}

pub(super) async fn a_started_unit_runs_at_the_revision_that_was_loaded(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_up(), "{state:?}");
    assert_eq!((state.loaded(), state.running), (Some(unit.revision), Some(unit.revision)));
    assert_eq!((state.restarts, state.busy, state.frozen), (0, false, false));
    let rendered = rendered_state_of(world, &unit.name).await;
    assert!(rendered.loaded().is_some_and(|revision| revision.rendering.is_some()));
    assert_eq!(rendered.running, rendered.loaded());
}

pub(super) async fn starting_what_runs_is_done_and_changes_nothing(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let mut newer = unit.clone();
    newer.revision = newer.revision.with_restart_epoch(1);
    load(world, &newer).await;
    start(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.running, Some(unit.revision), "it still runs what it ran");
}

pub(super) async fn a_stopped_unit_is_inactive_and_stays_loaded(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    stop(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down(), "{state:?}");
    assert_eq!((state.loaded(), state.running), (Some(unit.revision), None));
}

pub(super) async fn stopping_what_does_not_run_is_done(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    stop(world, &unit.name).await;
    stop(world, &unit.name).await;
}

pub(super) async fn a_restart_starts_what_does_not_run(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    restart(world, &unit.name).await;
    assert!(state_of(world, &unit.name).await.is_up());
}

pub(super) async fn a_job_that_is_dropped_goes_on(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    drop(world.services().begin(&unit.name, Verb::Start).await.unwrap());
    becomes(world, &unit.name, "it runs", ServiceState::is_up).await;
}

pub(super) async fn each_start_has_an_invocation_of_its_own(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
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
        assert_eq!(state.running, Some(unit.revision), "{number}");
        let invocation = state.run_id.expect("what runs has one");
        assert!(!seen.contains(&invocation), "{number}: {seen:?}");
        seen.push(invocation);
        world.services().reload().await.unwrap();
        start(world, &unit.name).await;
        let state = state_of(world, &unit.name).await;
        assert_eq!(state.run_id.as_ref(), seen.last(), "{number}: it still runs");
    }
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
    becomes(world, &unit.name, "it waits", waits).await;
    let state = becomes(world, &unit.name, "it runs", ServiceState::is_up).await;
    let invocation = state.run_id.expect("what runs has one");
    assert!(!seen.contains(&invocation), "started by the service manager: {seen:?}");
}

pub(super) async fn a_restart_of_what_runs_is_another_run(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    restart(world, &unit.name).await;
    let after = state_of(world, &unit.name).await;
    assert!(after.is_up(), "{after:?}");
    assert_ne!(after.run_id, before.run_id);
    assert_eq!((after.restarts, after.last_end), (0, None), "it was not restarted automatically");
}

pub(super) async fn two_starts_of_one_unit_are_both_done(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let (services, another) = (world.services(), world.another());
    let one = services.begin(&unit.name, Verb::Start).await.unwrap();
    let other = another.begin(&unit.name, Verb::Start).await.unwrap();
    services.wait(one).await.unwrap();
    another.wait(other).await.unwrap();
    assert!(state_of(world, &unit.name).await.is_up());
}

pub(super) async fn two_stops_of_one_unit_are_both_done(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let (services, another) = (world.services(), world.another());
    let one = services.begin(&unit.name, Verb::Stop).await.unwrap();
    let other = another.begin(&unit.name, Verb::Stop).await.unwrap();
    services.wait(one).await.unwrap();
    another.wait(other).await.unwrap();
    assert!(state_of(world, &unit.name).await.is_down());
}

pub(super) async fn of_a_start_and_a_stop_the_last_one_counts(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let services = world.services();
    let begun = services.begin(&unit.name, Verb::Start).await.unwrap();
    let ended = services.begin(&unit.name, Verb::Stop).await.unwrap();
    services.wait(ended).await.unwrap();
    services.wait(begun).await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down() && state.running.is_none(), "{state:?}");
    // Nothing is in its way.
    start(world, &unit.name).await;
}

pub(super) async fn of_a_stop_and_a_start_the_last_one_counts(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    let services = world.services();
    let ended = services.begin(&unit.name, Verb::Stop).await.unwrap();
    let begun = services.begin(&unit.name, Verb::Start).await.unwrap();
    services.wait(begun).await.unwrap();
    services.wait(ended).await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert!(state.is_up(), "{state:?}");
    assert_ne!(state.run_id, before.run_id);
}

pub(super) async fn a_job_that_is_replaced_ends_without_an_error(world: &World) {
    let unit = world.stubborn_unit();
    run(world, &unit).await;
    let services = world.services();
    let ended = services.begin(&unit.name, Verb::Stop).await.unwrap();
    let pending = |state: &ServiceState| state.busy;
    becomes(world, &unit.name, "it is being stopped", pending).await;
    let begun = services.begin(&unit.name, Verb::Start).await.unwrap();
    services.wait(ended).await.unwrap();
    services.wait(begun).await.unwrap();
    assert!(state_of(world, &unit.name).await.is_up());
}

pub(super) async fn program_that_ignores_a_stop_is_killed_and_the_stop_is_done(world: &World) {
    let unit = world.stubborn_unit();
    run(world, &unit).await;
    stop(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down() && state.running.is_none(), "{state:?}");
    assert_eq!((state.run, state.last_end), (RunState::Failed, Some(End::Exit(137))));
}

pub(super) async fn the_end_of_a_job_is_seen_by_another_instance(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let begun = world.services().begin(&unit.name, Verb::Start).await.unwrap();
    world.another().wait(begun).await.unwrap();
    assert!(state_of(world, &unit.name).await.is_up());
}

pub(super) async fn a_job_that_ended_can_still_be_asked_for(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let services = world.services();
    let begun = services.begin(&unit.name, Verb::Start).await.unwrap();
    services.wait(begun.clone()).await.unwrap();
    services.wait(begun).await.unwrap();
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
    services.reload().await.unwrap();
    let mut jobs = Vec::new();
    for unit in &units {
        jobs.push(services.begin(&unit.name, Verb::Start).await.unwrap());
    }
    for job in jobs.into_iter().rev() {
        services.wait(job).await.unwrap();
    }
    for unit in &units {
        assert_eq!(state_of(world, &unit.name).await.running, Some(unit.revision));
    }
}

pub(super) async fn one_units_jobs_do_not_touch_another_unit(world: &World) {
    let (one, other) = (world.unit(0), world.unit(1));
    run(world, &one).await;
    let before = state_of(world, &one.name).await;
    run(world, &other).await;
    restart(world, &other.name).await;
    stop(world, &other.name).await;
    world.services().reset_failed(&other.name).await.unwrap();
    let mut after = state_of(world, &one.name).await;
    after.up_for = before.up_for;
    assert_eq!(after, before);
}

pub(super) async fn a_stopped_unit_stays_stopped_through_a_reload(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    stop(world, &unit.name).await;
    world.services().reload().await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down(), "{state:?}");
    assert_eq!((state.run, state.has_failed()), (RunState::Down, false));
}

pub(super) async fn a_job_that_is_not_waited_for_long_enough_may_yet_be_done(
    world: &World,
) -> Arranged {
    let unit = world.unit(0);
    load(world, &unit).await;
    let impatient = world.impatient().await?;
    let begun = impatient.begin(&unit.name, Verb::Start).await.unwrap();
    refused(impatient.wait(begun).await, PortErrorKind::Transient);
    becomes(world, &unit.name, "it runs", ServiceState::is_up).await;
    Ok(())
}
