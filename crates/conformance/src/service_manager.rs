//! What a `ServiceManager` promises.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::container::RestartPolicy;
use companion_core::model::image::ImageRef;
use companion_core::model::unit::{
    ActiveState, JobResult, LoadState, ServiceResult, ServiceState, UnitSpec,
};
use companion_core::ports::{PortErrorKind, PortResult, ServiceManager};

use super::{eventually, refused};

/// A host with a service manager that knows nothing of us, and the hands of those who tamper with it.
#[async_trait]
pub trait ServiceWorld: Send + Sync {
    /// The service manager.
    fn services(&self) -> Arc<dyn ServiceManager>;
    /// A unit, a different companion's for each number below 10, whose image is there. Its program
    /// runs until it is stopped, and is started again one second after any other end.
    fn unit(&self, number: u8) -> UnitSpec;
    /// A unit whose program ends with an error right after every start, and is started again at once.
    async fn crashing_unit(&self) -> UnitSpec;
    /// Lets the program of that unit run from now on, like any other.
    async fn mend(&self, name: &CompanionName);
    /// An image that the host does not have and cannot get.
    fn absent_image(&self) -> ImageRef;
    /// Puts `unit` into the store.
    async fn write(&self, unit: &UnitSpec);
    /// Puts a unit into the store that the generator of units refuses.
    async fn write_refused(&self, name: &CompanionName);
    /// Takes the unit of `name` from the store.
    async fn delete(&self, name: &CompanionName);
    /// Where the store has the unit of `name`.
    fn location(&self, name: &CompanionName) -> String;
    /// Makes the unit of `name` unstartable, as the operator does.
    async fn mask(&self, name: &CompanionName);
    /// Puts a unit of that name where the service manager finds it first, and reloads.
    async fn shadow(&self, name: &CompanionName);
    /// Kills the program of `name`.
    async fn kill(&self, name: &CompanionName);
    /// Freezes the program of `name`.
    async fn pause(&self, name: &CompanionName);
}

type World = dyn ServiceWorld;

async fn state_of(world: &World, name: &CompanionName) -> ServiceState {
    let names = BTreeSet::from([name.clone()]);
    let mut states = world.services().observe(&names).await.unwrap();
    assert_eq!(states.len(), 1);
    states.remove(name).unwrap()
}

async fn load(world: &World, unit: &UnitSpec) {
    world.write(unit).await;
    world.services().reload().await.unwrap();
}

async fn start(world: &World, name: &CompanionName) -> JobResult {
    let services = world.services();
    let job = services.start(name).await.unwrap();
    services.wait(job).await.unwrap()
}

async fn stop(world: &World, name: &CompanionName) -> JobResult {
    let services = world.services();
    let job = services.stop(name).await.unwrap();
    services.wait(job).await.unwrap()
}

async fn restart(world: &World, name: &CompanionName) -> JobResult {
    let services = world.services();
    let job = services.restart(name).await.unwrap();
    services.wait(job).await.unwrap()
}

async fn run(world: &World, unit: &UnitSpec) {
    load(world, unit).await;
    assert_eq!(start(world, &unit.name).await, JobResult::Done);
}

async fn becomes(
    world: &World,
    name: &CompanionName,
    what: &str,
    is: fn(&ServiceState) -> bool,
) -> ServiceState {
    eventually(what, || Box::pin(async move { Some(state_of(world, name).await).filter(is) })).await
}

async fn a_unit_that_nobody_wrote_is_not_found(world: &World) {
    let unit = world.unit(0);
    world.services().reload().await.unwrap();
    assert_eq!(state_of(world, &unit.name).await, ServiceState::not_found());
}

async fn the_answer_has_an_entry_for_every_name(world: &World) {
    load(world, &world.unit(1)).await;
    let names: BTreeSet<_> = (0..4).map(|number| world.unit(number).name).collect();
    let states = world.services().observe(&names).await.unwrap();
    assert!(states.keys().eq(names.iter()));
    let nobody = world.services().observe(&BTreeSet::new()).await.unwrap();
    assert!(nobody.is_empty());
}

async fn a_written_unit_is_not_known_before_a_reload(world: &World) {
    let unit = world.unit(0);
    world.write(&unit).await;
    assert_eq!(state_of(world, &unit.name).await.load, LoadState::NotFound);
    let started = world.services().start(&unit.name).await;
    refused(started, PortErrorKind::NotFound);
}

async fn a_reload_loads_what_is_there_and_starts_nothing(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!((&state.load, &state.active), (&LoadState::Loaded, &ActiveState::Inactive));
    assert_eq!((state.loaded, state.running), (Some(unit.revision), None));
    assert!(state.is_down(), "{state:?}");
}

async fn a_loaded_unit_names_the_file_that_it_was_made_from(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let source = state_of(world, &unit.name).await.source;
    assert_eq!(source, Some(world.location(&unit.name)));
}

async fn a_unit_that_is_shadowed_names_another_file(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    world.shadow(&unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert_ne!(state.source, Some(world.location(&unit.name)));
    assert_eq!(state.loaded, None);
}

async fn a_unit_that_is_not_loaded_can_neither_be_started_nor_stopped(world: &World) {
    let name = world.unit(0).name;
    let services = world.services();
    let not_found = |result: PortResult<_>| refused(result.map(drop), PortErrorKind::NotFound);
    not_found(services.start(&name).await);
    not_found(services.restart(&name).await);
    not_found(services.stop(&name).await);
}

async fn a_started_unit_runs_at_the_revision_that_was_loaded(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_running(), "{state:?}");
    assert_eq!((state.loaded, state.running), (Some(unit.revision), Some(unit.revision)));
    assert_eq!((state.restarts, state.job_pending, state.paused), (0, false, false));
}

async fn starting_what_runs_is_done_and_changes_nothing(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let mut newer = unit.clone();
    newer.revision = newer.revision.with_incarnation(1);
    load(world, &newer).await;
    assert_eq!(start(world, &unit.name).await, JobResult::Done);
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.running, Some(unit.revision), "it still runs what it ran");
}

async fn a_reload_does_not_touch_what_runs(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let before = state_of(world, &unit.name).await;
    world.services().reload().await.unwrap();
    let mut after = state_of(world, &unit.name).await;
    assert!(after.active_for >= before.active_for);
    after.active_for = before.active_for;
    assert_eq!(after, before);
}

async fn a_newer_unit_reaches_the_process_by_a_reload_and_a_restart(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let mut newer = unit.clone();
    newer.revision = newer.revision.with_incarnation(1);
    world.write(&newer).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.loaded, Some(unit.revision), "written only");
    world.services().reload().await.unwrap();
    let state = state_of(world, &unit.name).await;
    let (old, new) = (Some(unit.revision), Some(newer.revision));
    assert_eq!((state.loaded, state.running), (new, old), "reloaded only");
    assert_eq!(restart(world, &unit.name).await, JobResult::Done);
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.loaded, state.running), (new, new));
}

async fn a_stopped_unit_is_inactive_and_stays_loaded(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    assert_eq!(stop(world, &unit.name).await, JobResult::Done);
    let state = state_of(world, &unit.name).await;
    assert!(state.is_down(), "{state:?}");
    assert_eq!((state.loaded, state.running), (Some(unit.revision), None));
}

async fn stopping_what_does_not_run_is_done(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    assert_eq!(stop(world, &unit.name).await, JobResult::Done);
    assert_eq!(stop(world, &unit.name).await, JobResult::Done);
}

async fn a_restart_starts_what_does_not_run(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    assert_eq!(restart(world, &unit.name).await, JobResult::Done);
    assert!(state_of(world, &unit.name).await.is_running());
}

async fn a_job_that_is_dropped_goes_on(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    drop(world.services().start(&unit.name).await.unwrap());
    becomes(world, &unit.name, "it runs", ServiceState::is_running).await;
}

async fn a_unit_that_is_refused_does_not_make_a_reload_fail_and_hides_no_other(world: &World) {
    let (refused, sound) = (world.unit(0), world.unit(1));
    world.write_refused(&refused.name).await;
    load(world, &sound).await;
    let state = state_of(world, &refused.name).await;
    assert_eq!(state.load, LoadState::NotFound);
    let state = state_of(world, &sound.name).await;
    assert_eq!(state.load, LoadState::Loaded);
}

/// A unit that cannot start, because its image is not there, and is not tried again.
async fn fail(world: &World) -> UnitSpec {
    let mut unit = world.unit(0);
    unit.image = world.absent_image();
    unit.container.restart = RestartPolicy::No;
    load(world, &unit).await;
    assert_eq!(start(world, &unit.name).await, JobResult::Failed);
    unit
}

async fn a_start_without_the_image_ends_its_job_as_failed(world: &World) {
    let unit = fail(world).await;
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.active, ActiveState::Failed);
    assert_eq!((state.result, state.exit_status), (ServiceResult::ExitCode, Some(125)));
}

async fn a_failed_unit_stays_failed_until_it_is_reset(world: &World) {
    let unit = fail(world).await;
    world.services().reload().await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.active, ActiveState::Failed, "a reload forgives nothing");
    world.services().reset_failed(&unit.name).await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.active, state.result), (ActiveState::Inactive, ServiceResult::Success));
}

async fn resetting_what_did_not_fail_or_is_not_loaded_is_a_success(world: &World) {
    let unit = world.unit(0);
    world.services().reset_failed(&unit.name).await.unwrap();
    run(world, &unit).await;
    world.services().reset_failed(&unit.name).await.unwrap();
    assert!(state_of(world, &unit.name).await.is_running());
}

async fn a_masked_unit_says_so_and_is_not_started(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    world.mask(&unit.name).await;
    assert_eq!(state_of(world, &unit.name).await.load, LoadState::Masked);
    let started = world.services().start(&unit.name).await;
    refused(started, PortErrorKind::Denied);
    let restarted = world.services().restart(&unit.name).await;
    refused(restarted, PortErrorKind::Denied);
}

async fn a_program_that_was_killed_waits_for_its_next_start_and_comes_back(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.sub.awaits_restart();
    let state = becomes(world, &unit.name, "it waits", waits).await;
    assert!(!state.is_down(), "{state:?}");
    let state = becomes(world, &unit.name, "it runs", ServiceState::is_running).await;
    assert_eq!((state.restarts, state.running), (1, Some(unit.revision)));
}

async fn each_start_has_an_invocation_of_its_own(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let mut seen = Vec::new();
    for number in 0..3 {
        let result = match number {
            0 => start(world, &unit.name).await,
            1 => restart(world, &unit.name).await,
            _ => {
                assert_eq!(stop(world, &unit.name).await, JobResult::Done);
                start(world, &unit.name).await
            }
        };
        assert_eq!(result, JobResult::Done);
        let state = state_of(world, &unit.name).await;
        assert_eq!(state.running, Some(unit.revision), "{number}");
        let invocation = state.invocation.expect("what runs has one");
        assert!(!seen.contains(&invocation), "{number}: {seen:?}");
        seen.push(invocation);
        world.services().reload().await.unwrap();
        assert_eq!(start(world, &unit.name).await, JobResult::Done);
        let state = state_of(world, &unit.name).await;
        assert_eq!(state.invocation.as_ref(), seen.last(), "{number}: it still runs");
    }
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.sub.awaits_restart();
    becomes(world, &unit.name, "it waits", waits).await;
    let state = becomes(world, &unit.name, "it runs", ServiceState::is_running).await;
    let invocation = state.invocation.expect("what runs has one");
    assert!(!seen.contains(&invocation), "started by the service manager: {seen:?}");
}

async fn a_unit_whose_file_vanished_runs_on_until_it_is_stopped(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.delete(&unit.name).await;
    world.services().reload().await.unwrap();
    let state = state_of(world, &unit.name).await;
    assert_eq!(state.load, LoadState::NotFound);
    assert!(state.is_running(), "{state:?}");
    assert_eq!((state.loaded, state.running), (None, Some(unit.revision)));
    assert_eq!(stop(world, &unit.name).await, JobResult::Done);
    assert!(!state_of(world, &unit.name).await.is_running());
}

async fn a_frozen_program_is_active_and_paused(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    world.pause(&unit.name).await;
    let state = state_of(world, &unit.name).await;
    assert!(state.is_running() && state.paused, "{state:?}");
    assert_eq!(restart(world, &unit.name).await, JobResult::Done);
    let state = state_of(world, &unit.name).await;
    assert!(state.is_running() && !state.paused, "{state:?}");
}

async fn a_unit_that_was_started_too_often_starts_only_after_a_reset(world: &World) {
    let unit = world.crashing_unit().await;
    load(world, &unit).await;
    drop(world.services().start(&unit.name).await.unwrap());
    let failed = |state: &ServiceState| state.active == ActiveState::Failed;
    let state = becomes(world, &unit.name, "it failed", failed).await;
    assert_eq!(state.result, ServiceResult::StartLimitHit);
    assert!(state.restarts >= 3, "{state:?}");
    world.mend(&unit.name).await;
    assert_eq!(start(world, &unit.name).await, JobResult::Failed);
    world.services().reset_failed(&unit.name).await.unwrap();
    assert_eq!(start(world, &unit.name).await, JobResult::Done);
    let state = state_of(world, &unit.name).await;
    assert_eq!((state.is_running(), state.restarts), (true, 0));
}

/// Calls a macro with the cases of this suite.
#[macro_export]
macro_rules! service_manager_cases {
    ($with:ident $(, $world:ty)?) => {
        $with! { service_manager $(, $world)?:
            a_unit_that_nobody_wrote_is_not_found,
            the_answer_has_an_entry_for_every_name,
            a_written_unit_is_not_known_before_a_reload,
            a_reload_loads_what_is_there_and_starts_nothing,
            a_loaded_unit_names_the_file_that_it_was_made_from,
            a_unit_that_is_shadowed_names_another_file,
            a_unit_that_is_not_loaded_can_neither_be_started_nor_stopped,
            a_started_unit_runs_at_the_revision_that_was_loaded,
            starting_what_runs_is_done_and_changes_nothing,
            a_reload_does_not_touch_what_runs,
            a_newer_unit_reaches_the_process_by_a_reload_and_a_restart,
            a_stopped_unit_is_inactive_and_stays_loaded,
            stopping_what_does_not_run_is_done,
            a_restart_starts_what_does_not_run,
            a_job_that_is_dropped_goes_on,
            a_unit_that_is_refused_does_not_make_a_reload_fail_and_hides_no_other,
            a_start_without_the_image_ends_its_job_as_failed,
            a_failed_unit_stays_failed_until_it_is_reset,
            resetting_what_did_not_fail_or_is_not_loaded_is_a_success,
            a_masked_unit_says_so_and_is_not_started,
            a_program_that_was_killed_waits_for_its_next_start_and_comes_back,
            each_start_has_an_invocation_of_its_own,
            a_unit_whose_file_vanished_runs_on_until_it_is_stopped,
            a_frozen_program_is_active_and_paused,
            a_unit_that_was_started_too_often_starts_only_after_a_reset,
        }
    };
}

use super::table;
service_manager_cases!(table, dyn ServiceWorld);
