//! Failed, rate-limited, masked and missing units.

use std::collections::BTreeSet;

use companion_core::model::container::RestartPolicy;
use companion_core::model::unit::{
    ActiveState, JobResult, LoadState, ServiceResult, ServiceState, UnitSpec,
};
use companion_core::ports::PortErrorKind;

use super::{World, becomes, load, restart, run, start, state_of, stop};
use crate::{Arranged, all_read, each_refused, refused};

/// A unit with a missing image and without restarts.
async fn fail(world: &World) -> UnitSpec {
    let mut unit = world.unit(0);
    unit.image = world.absent_image();
    unit.container.restart = RestartPolicy::No;
    load(world, &unit).await;
    assert_eq!(start(world, &unit.name).await, JobResult::Failed);
    unit
}

pub(super) async fn a_start_without_the_image_ends_its_job_as_failed(world: &World) {
    let unit = fail(world).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.active, ActiveState::Failed);
    assert_eq!((state.result, state.exit_status), (ServiceResult::ExitCode, Some(125)));
}

pub(super) async fn a_failed_unit_stays_failed_until_it_is_reset(world: &World) {
    let unit = fail(world).await;
    world.services().reload().await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.active, ActiveState::Failed, "a reload forgives nothing");
    world.services().reset_failed(&unit.name).await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.active, state.result), (ActiveState::Inactive, ServiceResult::Success));
}

pub(super) async fn resetting_what_did_not_fail_or_is_not_loaded_is_a_success(world: &World) {
    let unit = world.unit(0);
    world.services().reset_failed(&unit.name).await.unwrap();
    run(world, &unit).await;
    world.services().reset_failed(&unit.name).await.unwrap();
    assert!(state_of(world, &unit.name).await.is_running());
}

pub(super) async fn a_masked_unit_says_so_and_is_not_started(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    world.mask(&unit.name).await;
    assert_eq!(state_of(world, &unit.name).await.load, LoadState::Masked);
    let started = world.services().start(&unit.name).await;
    refused(started, PortErrorKind::Denied);
    let restarted = world.services().restart(&unit.name).await;
    refused(restarted, PortErrorKind::Denied);
}

pub(super) async fn a_unit_that_was_started_too_often_starts_only_after_a_reset(world: &World) {
    let unit = world.ending_unit(1).await;
    load(world, &unit).await;
    drop(world.services().start(&unit.name).await.unwrap());
    let failed = |state: &ServiceState| state.active == ActiveState::Failed;
    let state = becomes(world, &unit.name, "it failed", failed).await;
    assert_eq!(state.result, ServiceResult::ExitCode, "that of its last end");
    assert!(state.restarts >= 3, "{state:?}");
    world.mend(&unit.name).await;
    assert_eq!(start(world, &unit.name).await, JobResult::Failed);
    world.services().reset_failed(&unit.name).await.unwrap();
    assert_eq!(start(world, &unit.name).await, JobResult::Done);
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.is_running(), state.restarts), (true, 0));
}

pub(super) async fn a_unit_that_ended_well_too_often_says_that_it_hit_its_limit(world: &World) {
    let unit = world.ending_unit(0).await;
    load(world, &unit).await;
    drop(world.services().start(&unit.name).await.unwrap());
    let failed = |state: &ServiceState| state.active == ActiveState::Failed;
    let state = becomes(world, &unit.name, "it failed", failed).await;
    assert!(state.is_down(), "it is not tried again");
    assert_eq!((state.result, state.exit_status), (ServiceResult::StartLimitHit, Some(0)));
}

pub(super) async fn stopping_what_failed_is_done_and_leaves_it_failed(world: &World) {
    let unit = fail(world).await;
    assert_eq!(stop(world, &unit.name).await, JobResult::Done);
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.active, ActiveState::Failed);
}

pub(super) async fn repaired_service_starts_without_a_reset(world: &World) {
    let mut unit = fail(world).await;
    unit.image = world.unit(0).image;
    load(world, &unit).await;
    assert_eq!(state_of(world, &unit.name).await.active, ActiveState::Failed);
    assert_eq!(start(world, &unit.name).await, JobResult::Done);
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.is_running(), state.result), (true, ServiceResult::Success));
}

pub(super) async fn a_failed_unit_whose_file_is_gone_is_forgotten_by_a_reset(world: &World) {
    let unit = fail(world).await;
    world.delete(&unit.name).await;
    world.services().reload().await.unwrap();
    world.services().reset_failed(&unit.name).await.unwrap();
    assert_eq!(state_of(world, &unit.name).await, ServiceState::not_found());
}

pub(super) async fn resetting_a_healthy_unit_touches_no_run_and_forgets_its_restarts(
    world: &World,
) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.sub.awaits_restart();
    becomes(world, &unit.name, "it waits", waits).await;
    let before = becomes(world, &unit.name, "it runs", ServiceState::is_running).await;
    world.services().reset_failed(&unit.name).await.unwrap();
    let after = state_of(world, &unit.name).await;
    assert_eq!((after.invocation, after.running), (before.invocation, before.running));
    assert_eq!((before.restarts, after.restarts), (1, 0));
}

pub(super) async fn resetting_one_unit_forgives_no_other(world: &World) {
    let unit = fail(world).await;
    world.services().reset_failed(&world.unit(1).name).await.unwrap();
    assert_eq!(state_of(world, &unit.name).await.active, ActiveState::Failed);
}

pub(super) async fn masking_ends_nothing_that_runs_and_it_can_be_stopped(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.mask(&unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!((&state.load, state.is_running()), (&LoadState::Masked, true));
    assert_eq!(state.running, Some(unit.revision));
    assert_eq!(stop(world, &unit.name).await, JobResult::Done);
    assert!(!state_of(world, &unit.name).await.is_running());
}

pub(super) async fn stopping_what_is_masked_and_does_not_run_is_done(world: &World) {
    let name = world.unit(0).name;
    world.mask(&name).await;
    assert_eq!(stop(world, &name).await, JobResult::Done);
    assert!(state_of(world, &name).await.is_down());
}

pub(super) async fn a_unit_that_is_masked_no_more_starts(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    world.mask(&unit.name).await;
    world.unmask(&unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.load, state.loaded), (LoadState::Loaded, Some(unit.revision)));
    assert_eq!(start(world, &unit.name).await, JobResult::Done);
}

pub(super) async fn a_unit_that_waits_long_between_restarts_has_no_start_limit(world: &World) {
    let mut unit = world.unit(0);
    unit.container.restart_delay = Some(2);
    run(world, &unit).await;
    for _ in 0..7 {
        assert_eq!(restart(world, &unit.name).await, JobResult::Done);
    }
    assert!(state_of(world, &unit.name).await.is_running());
}

pub(super) async fn a_unit_that_loops_is_counted_and_not_down_before_its_limit(world: &World) {
    let mut unit = world.ending_unit(1).await;
    unit.container.restart_delay = Some(2);
    load(world, &unit).await;
    drop(world.services().start(&unit.name).await.unwrap());
    let again = |state: &ServiceState| state.restarts >= 1 && state.sub.awaits_restart();
    let state = becomes(world, &unit.name, "it waits again", again).await;
    assert!(!state.is_down(), "{state:?}");
    assert_eq!(state.exit_status, Some(1));
    assert_eq!(stop(world, &unit.name).await, JobResult::Done);
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
    assert!(states[&seen.name].is_running());
    assert_eq!(states[&absent.name], ServiceState::not_found());
    Ok(())
}

pub(super) async fn without_a_service_manager_every_call_is_unavailable(world: &World) -> Arranged {
    let unit = world.unit(0);
    load(world, &unit).await;
    let job = world.services().start(&unit.name).await.unwrap();
    let services = world.without_manager().await?;
    let name = unit.name;
    let names = BTreeSet::from([name.clone(), world.unit(1).name]);
    let kind = PortErrorKind::Unavailable;
    each_refused(services.observe(&names).await, &names, kind);
    refused(services.reload().await, kind);
    refused(services.wait(job).await, kind);
    refused(services.start(&name).await.map(drop), kind);
    refused(services.stop(&name).await.map(drop), kind);
    refused(services.restart(&name).await.map(drop), kind);
    refused(services.reset_failed(&name).await, kind);
    Ok(())
}
