//! Failed, rate-limited, masked and missing units.

use std::collections::BTreeSet;

use companion_core::model::container::RestartPolicy;
use companion_core::model::service::{End, LoadedUnit, RunState, ServiceState, Verb};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::PortErrorKind;

use super::{World, becomes, carry_out, load, restart, run, start, state_of, stop};
use crate::{Arranged, all_read, each_refused, refused};

/// A unit with a missing image and without restarts.
async fn fail(world: &World) -> UnitSpec {
    let mut unit = world.unit(0);
    unit.image = world.absent_image();
    unit.container.restart = RestartPolicy::No;
    load(world, &unit).await;
    refused(carry_out(world, &unit.name, Verb::Start).await, PortErrorKind::Transient);
    unit
}

pub(super) async fn a_start_without_the_image_ends_its_job_as_failed(world: &World) {
    let unit = fail(world).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.run, RunState::Failed);
    assert_eq!(state.last_end, Some(End::Exit(125)));
}

pub(super) async fn a_failed_unit_stays_failed_until_it_is_reset(world: &World) {
    let unit = fail(world).await;
    world.services().reload().await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.run, RunState::Failed, "a reload forgives nothing");
    world.services().reset_failed(&unit.name).await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.run, state.has_failed()), (RunState::Down, false));
}

pub(super) async fn resetting_what_did_not_fail_or_is_not_loaded_is_a_success(world: &World) {
    let unit = world.unit(0);
    world.services().reset_failed(&unit.name).await.unwrap();
    run(world, &unit).await;
    world.services().reset_failed(&unit.name).await.unwrap();
    assert!(state_of(world, &unit.name).await.is_up());
}

pub(super) async fn a_masked_unit_says_so_and_is_not_started(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    world.mask(&unit.name).await;
    assert!(matches!(state_of(world, &unit.name).await.unit, LoadedUnit::Held { .. }));
    let started = world.services().begin(&unit.name, Verb::Start).await;
    refused(started, PortErrorKind::Denied);
    let restarted = world.services().begin(&unit.name, Verb::Restart).await;
    refused(restarted, PortErrorKind::Denied);
}

pub(super) async fn a_unit_that_was_started_too_often_starts_only_after_a_reset(world: &World) {
    let unit = world.ending_unit(1).await;
    load(world, &unit).await;
    drop(world.services().begin(&unit.name, Verb::Start).await.unwrap());
    let failed = |state: &ServiceState| state.run == RunState::Failed;
    let state = becomes(world, &unit.name, "it failed", failed).await;
    assert_eq!(state.last_end, Some(End::Exit(1)), "that of its last end");
    assert!(state.restarts >= 3, "{state:?}");
    world.repair(&unit.name).await;
    refused(carry_out(world, &unit.name, Verb::Start).await, PortErrorKind::Transient);
    world.services().reset_failed(&unit.name).await.unwrap();
    start(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.is_up(), state.restarts), (true, 0));
}

pub(super) async fn a_unit_that_ended_well_too_often_says_that_it_hit_its_limit(world: &World) {
    let unit = world.ending_unit(0).await;
    load(world, &unit).await;
    drop(world.services().begin(&unit.name, Verb::Start).await.unwrap());
    let failed = |state: &ServiceState| state.run == RunState::Failed;
    let state = becomes(world, &unit.name, "it failed", failed).await;
    assert!(state.is_down(), "it is not tried again");
    assert_eq!(state.last_end, Some(End::StartLimit));
}

pub(super) async fn stopping_what_failed_is_done_and_leaves_it_failed(world: &World) {
    let unit = fail(world).await;
    stop(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.run, RunState::Failed);
}

pub(super) async fn repaired_service_starts_without_a_reset(world: &World) {
    let mut unit = fail(world).await;
    unit.image = world.unit(0).image;
    load(world, &unit).await;
    assert_eq!(state_of(world, &unit.name).await.run, RunState::Failed);
    start(world, &unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.is_up(), state.last_end), (true, None));
}

pub(super) async fn a_failed_unit_whose_file_is_gone_is_forgotten_by_a_reset(world: &World) {
    let unit = fail(world).await;
    world.delete(&unit.name).await;
    world.services().reload().await.unwrap();
    world.services().reset_failed(&unit.name).await.unwrap();
    assert_eq!(state_of(world, &unit.name).await, ServiceState::absent());
}

pub(super) async fn resetting_a_healthy_unit_touches_no_run_and_forgets_its_restarts(
    world: &World,
) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
    becomes(world, &unit.name, "it waits", waits).await;
    let before = becomes(world, &unit.name, "it runs", ServiceState::is_up).await;
    world.services().reset_failed(&unit.name).await.unwrap();
    let after = state_of(world, &unit.name).await;
    assert_eq!((after.run_id, after.running), (before.run_id, before.running));
    assert_eq!((before.restarts, after.restarts), (1, 0));
}

pub(super) async fn resetting_one_unit_forgives_no_other(world: &World) {
    let unit = fail(world).await;
    world.services().reset_failed(&world.unit(1).name).await.unwrap();
    assert_eq!(state_of(world, &unit.name).await.run, RunState::Failed);
}

pub(super) async fn masking_ends_nothing_that_runs_and_it_can_be_stopped(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.mask(&unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_up() && matches!(state.unit, LoadedUnit::Held { .. }), "{state:?}");
    assert_eq!(state.running, Some(unit.revision));
    stop(world, &unit.name).await;
    assert!(!state_of(world, &unit.name).await.is_up());
}

pub(super) async fn stopping_what_is_masked_and_does_not_run_is_done(world: &World) {
    let name = world.unit(0).name;
    world.mask(&name).await;
    stop(world, &name).await;
    assert!(state_of(world, &name).await.is_down());
}

pub(super) async fn a_unit_that_is_masked_no_more_starts(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    world.mask(&unit.name).await;
    world.unmask(&unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.loaded(), Some(unit.revision));
    start(world, &unit.name).await;
}

pub(super) async fn a_unit_that_waits_long_between_restarts_has_no_start_limit(world: &World) {
    let mut unit = world.unit(0);
    unit.container.restart_delay = Some(2);
    run(world, &unit).await;
    for _ in 0..7 {
        restart(world, &unit.name).await;
    }
    assert!(state_of(world, &unit.name).await.is_up());
}

pub(super) async fn a_unit_that_loops_is_counted_and_not_down_before_its_limit(world: &World) {
    let mut unit = world.ending_unit(1).await;
    unit.container.restart_delay = Some(2);
    load(world, &unit).await;
    drop(world.services().begin(&unit.name, Verb::Start).await.unwrap());
    let again =
        |state: &ServiceState| state.restarts >= 1 && state.run == RunState::BetweenRestarts;
    let state = becomes(world, &unit.name, "it waits again", again).await;
    assert!(!state.is_down(), "{state:?}");
    assert_eq!(state.last_end, Some(End::Exit(1)));
    stop(world, &unit.name).await;
}

pub(super) async fn a_service_that_cannot_be_read_hides_no_other(world: &World) -> Arranged {
    let [hidden, seen, absent] = [0, 1, 2].map(|number| world.unit(number));
    world.write(&hidden).await;
    run(world, &seen).await;
    world.make_unreadable(&hidden.name).await?;
    let names = BTreeSet::from([&hidden, &seen, &absent].map(|unit| unit.name.clone()));
    let mut states = world.services().observe(&names).await;
    assert!(states.keys().eq(&names));
    assert!(states.remove(&hidden.name).unwrap().is_err());
    let states = all_read(states);
    assert!(states[&seen.name].is_up());
    assert_eq!(states[&absent.name], ServiceState::absent());
    Ok(())
}

pub(super) async fn without_a_service_manager_every_call_is_unavailable(world: &World) -> Arranged {
    let unit = world.unit(0);
    load(world, &unit).await;
    let job = world.services().begin(&unit.name, Verb::Start).await.unwrap();
    let services = world.without_manager().await?;
    let name = unit.name;
    let names = BTreeSet::from([name.clone(), world.unit(1).name]);
    let kind = PortErrorKind::Unavailable;
    each_refused(services.observe(&names).await, &names, kind);
    refused(services.reload().await, kind);
    refused(services.wait(job).await, kind);
    refused(services.begin(&name, Verb::Start).await.map(drop), kind);
    refused(services.begin(&name, Verb::Stop).await.map(drop), kind);
    refused(services.begin(&name, Verb::Restart).await.map(drop), kind);
    refused(services.reset_failed(&name).await, kind);
    Ok(())
}
