//! The contract of `ServiceManager`.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::ImageId;
use companion_core::model::service::{End, LoadedUnit, RunState, ServiceState, Verb};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{PortResult, ServiceManager};

use crate::assertions::{Done as _, Looking, all_read, eventually, only, same};
use crate::{Arranged, HostWorld, Trait, Unarranged, suite};

mod changes;
mod ends;
mod failures;
mod jobs;
mod loading;
mod logs;

use changes::*;
use ends::*;
use failures::*;
use jobs::*;
use loading::*;
use logs::*;

/// A host with a service manager without managed units, and ways to tamper with it.
#[async_trait]
pub trait ServiceWorld: HostWorld {
    /// The service manager.
    fn services(&self) -> Arc<dyn ServiceManager>;
    /// A unit, a different companion's for each number below 10, whose image is there. Its program
    /// runs until it is stopped, and is started again one second after any other end.
    fn unit(&self, number: u8) -> UnitSpec;
    /// Another instance on the same host, as in another process.
    fn another(&self) -> Arc<dyn ServiceManager>;
    /// A unit whose program ends with exit code `exit` right after every start, and is started again
    /// 100 ms later, until a start limit is reached: 5 starts, in 10 s or in a longer time. It logs the lines
    /// `about to end` and `ends with <exit>` before.
    async fn ending_unit(&self, exit: u8) -> UnitSpec;
    /// A unit whose program ignores SIGTERM, with a stop timeout of 2 s.
    fn stubborn_unit(&self) -> UnitSpec;
    /// Lets the program of a unit that ends run from its next start on, like any other.
    async fn repair(&self, name: &CompanionName);
    /// An image that the host does not have and cannot get.
    fn absent_image(&self) -> ImageId;
    /// Puts `unit` into the store.
    async fn write(&self, unit: &UnitSpec);
    /// Puts a unit into the store that the host cannot use.
    async fn write_refused(&self, name: &CompanionName);
    /// Puts a valid unit without the ownership label into the store, whose program runs.
    async fn write_unmanaged(&self, name: &CompanionName);
    /// Takes the unit of `name` from the store.
    async fn delete(&self, name: &CompanionName);
    /// Waits until the program of `name` heeds signals. A start is done when its process is there, which
    /// may be a moment earlier; a world in which it is not needs nothing here.
    async fn ready(&self, _name: &CompanionName) {}
    /// Kills the program of `name` by SIGKILL, as the kernel does when memory is short. It is an end that the host
    /// did not ask for: not a command that counts as a stop, such as `docker kill`; kill its process instead.
    async fn kill(&self, name: &CompanionName);
    /// Freezes the program of `name` (`podman pause`).
    async fn freeze(&self, name: &CompanionName);
    /// Thaws it.
    async fn thaw(&self, name: &CompanionName);
    /// How a start without its image ends where failed starts are [remembered](Trait::FailedStarts): Podman's own exit
    /// code by default (podman-run(1)).
    fn failed_start(&self) -> End {
        End::Exit(125)
    }
    /// Holds the unit of `name` back, as its operator (`systemctl mask`).
    async fn hold(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("holds"))
    }
    /// Releases it.
    async fn release(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("holds"))
    }
    /// Adds a unit of that name with precedence, and reloads.
    async fn shadow(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("units that override others"))
    }
    /// Removes that unit, and reloads.
    async fn unshadow(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("units that override others"))
    }
    /// Starts the unmanaged unit of `name`, as its operator.
    async fn start_unmanaged(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("unmanaged service that runs"))
    }
    /// Adds a drop-in to the unit of `name` (`<unit>.d/*.conf`).
    async fn drop_in(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("drop-ins"))
    }
    /// Makes the state of `name` unreadable.
    async fn make_unreadable(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("service whose state cannot be read"))
    }
    /// Adds a file to the unit directory that makes the generator drop all units.
    async fn put_broken_unmanaged_file(&self) -> Arranged {
        Err(Unarranged("generator that one file can stop"))
    }
    /// Removes that file.
    async fn remove_broken_unmanaged_file(&self) -> Arranged {
        Err(Unarranged("generator that one file can stop"))
    }
    /// An instance on a host that is the same but for its generator, which is missing.
    async fn without_generator(&self) -> Arranged<Arc<dyn ServiceManager>> {
        Err(Unarranged("generator that can be missing"))
    }
    /// An instance on a host that has no service manager.
    async fn without_manager(&self) -> Arranged<Arc<dyn ServiceManager>> {
        Err(Unarranged("host without a service manager"))
    }
    /// An instance whose wait for a job times out immediately.
    async fn impatient(&self) -> Arranged<Arc<dyn ServiceManager>> {
        Err(Unarranged("configurable time limit"))
    }
    /// Limits reloads to fewer than ten in the next minutes.
    async fn limit_reloads(&self) -> Arranged {
        Err(Unarranged("configurable reload limit"))
    }
}

type World = dyn ServiceWorld;

/// The state of `name`, without the rendering that the unit store put into its revisions.
async fn state_of(world: &World, name: &CompanionName) -> ServiceState {
    let mut state = rendered_state_of(world, name).await;
    let loaded = match &mut state.unit {
        LoadedUnit::FromStore { revision } => revision.as_mut(),
        _ => None,
    };
    for revision in loaded.into_iter().chain(&mut state.running) {
        *revision = revision.with_rendering(None);
    }
    state
}

async fn rendered_state_of(world: &World, name: &CompanionName) -> ServiceState {
    let names = BTreeSet::from([name.clone()]);
    only(all_read(world.services().observe(&names).await), name)
}

fn has(world: &World, one: Trait) -> bool {
    world.traits().contains(&one)
}

/// Loads what is in the store, on a host where that takes a reload.
async fn load_all(world: &World) {
    if has(world, Trait::LoadsUnits) {
        world.services().reload().await.done();
    }
}

async fn load(world: &World, unit: &UnitSpec) {
    world.write(unit).await;
    load_all(world).await;
}

/// Takes the unit of `name` from the store, and unloads it.
async fn unload(world: &World, name: &CompanionName) {
    world.delete(name).await;
    load_all(world).await;
}

/// Carries out `verb` and waits for its end.
async fn carry_out(world: &World, name: &CompanionName, verb: Verb) -> PortResult<()> {
    let services = world.services();
    let job = services.begin(name, verb).await.done();
    let result = services.wait(job).await;
    if verb != Verb::Stop {
        world.ready(name).await;
    }
    result
}

async fn done(world: &World, name: &CompanionName, verb: Verb) {
    carry_out(world, name, verb).await.done();
}

async fn start(world: &World, name: &CompanionName) {
    done(world, name, Verb::Start).await;
}

async fn stop(world: &World, name: &CompanionName) {
    done(world, name, Verb::Stop).await;
}

async fn restart(world: &World, name: &CompanionName) {
    done(world, name, Verb::Restart).await;
}

async fn run(world: &World, unit: &UnitSpec) {
    load(world, unit).await;
    start(world, &unit.name).await;
}

async fn becomes(
    world: &World,
    name: &CompanionName,
    what: &str,
    is: fn(&ServiceState) -> bool,
) -> ServiceState {
    let look = || -> Looking<'_, ServiceState> {
        Box::pin(async { Some(state_of(world, name).await).filter(is) })
    };
    eventually(what, look).await
}

/// Kills the program of `unit`, which restarts after `delay` seconds, and waits until it waits for its next start.
async fn kill_before_restart(world: &World, delay: u32) -> UnitSpec {
    let mut unit = world.unit(0);
    unit.container.restart_delay = Some(delay);
    run(world, &unit).await;
    world.kill(&unit.name).await;
    let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
    let state = becomes(world, &unit.name, "it waits", waits).await;
    assert!(!state.is_down(), "a service that waits for its restart is not down: {state:?}");
    unit
}

/// Starts `unit` without waiting, and waits until its service is as `is` says.
async fn begin(
    world: &World,
    unit: &UnitSpec,
    what: &str,
    is: fn(&ServiceState) -> bool,
) -> ServiceState {
    load(world, unit).await;
    drop(world.services().begin(&unit.name, Verb::Start).await.done());
    becomes(world, &unit.name, what, is).await
}

fn has_failed(state: &ServiceState) -> bool {
    state.run == RunState::Failed
}

/// Fails unless the service of `name` is as it was, but for the time that it is up.
async fn is_untouched(world: &World, name: &CompanionName, before: &ServiceState) {
    let after = state_of(world, name).await;
    assert!(after.up_for >= before.up_for, "the time since it is up does not shrink");
    same!(ServiceState { up_for: before.up_for, ..after }, *before, "it is untouched");
}

/// Kills the program of `name`, and waits until the host has started it again.
async fn kill_and_await_restart(world: &World, name: &CompanionName) -> ServiceState {
    let before = state_of(world, name).await.run_id;
    world.kill(name).await;
    if has(world, Trait::RestartDelay) {
        let waits = |state: &ServiceState| state.run == RunState::BetweenRestarts;
        becomes(world, name, "it waits for its next start", waits).await;
    }
    let look = || -> Looking<'_, ServiceState> {
        Box::pin(async {
            let state = state_of(world, name).await;
            (state.is_up() && state.run_id != before).then_some(state)
        })
    };
    eventually("it runs again", look).await
}

suite! { service_manager, ServiceWorld:
    the_answer_has_an_entry_for_every_name,
    a_written_unit_is_not_known_before_a_reload [LoadsUnits],
    loading_a_unit_starts_nothing,
    a_unit_that_is_shadowed_is_from_elsewhere [Overrides],
    a_newer_unit_reaches_the_process_by_a_load_and_a_restart,
    an_invalid_unit_fails_no_load_and_hides_no_other,
    unit_whose_file_vanished_runs_on_until_it_comes_back_or_is_stopped,
    reading_changes_nothing,
    a_reload_forgets_a_unit_whose_file_is_removed_and_that_does_not_run [LoadsUnits],
    a_reload_without_a_change_changes_nothing [LoadsUnits],
    concurrent_reloads_both_load_the_current_files [LoadsUnits],
    what_another_instance_loaded_is_seen_by_this_one [LoadsUnits],
    an_unmanaged_unit_and_its_service_name_no_revision,
    a_unit_that_is_not_loaded_can_neither_be_started_nor_stopped,
    a_started_unit_runs_at_the_revision_that_was_loaded,
    starting_what_runs_is_done_and_changes_nothing,
    a_stopped_unit_is_down_and_stays_loaded_and_stopped,
    each_start_is_another_run,
    two_jobs_of_one_unit_are_both_done_whoever_waits,
    of_a_start_and_a_stop_the_last_one_counts,
    of_a_stop_and_a_start_the_last_one_counts,
    a_job_that_is_replaced_ends_without_an_error,
    program_that_ignores_a_stop_is_killed_and_the_stop_is_done,
    a_job_of_nobody_is_invalid,
    jobs_of_several_units_run_concurrently,
    what_happens_to_one_unit_touches_no_other,
    frozen_program_is_up_until_it_is_thawed_restarted_or_stopped,
    a_program_that_ends_well_is_not_started_again_where_only_failures_are,
    a_program_that_ends_with_an_error_and_is_not_started_again_failed,
    a_killed_program_that_is_not_started_again_failed,
    a_stop_of_what_waits_for_its_next_start_keeps_it_down [RestartDelay],
    a_start_of_what_waits_for_its_next_start_is_done_with_it [RestartDelay],
    a_restart_of_what_waits_for_its_next_start_does_not_wait [RestartDelay],
    killed_program_comes_back_and_its_restarts_are_counted,
    what_runs_after_its_unit_vanished_is_not_started_again [LoadsUnits],
    what_does_not_run_has_been_up_for_no_time,
    a_failed_unit_stays_failed_until_it_is_reset [FailedStarts],
    held_unit_can_be_stopped_and_is_not_started_before_it_is_released [Holds],
    a_unit_that_was_started_too_often_starts_only_after_a_reset [KeepsFailures, StartLimit],
    a_unit_that_ended_well_too_often_says_that_it_hit_its_limit [StartLimit],
    repaired_service_starts_without_a_reset,
    a_failed_unit_whose_file_is_removed_is_forgotten_by_a_reset [KeepsFailures, FailedStarts],
    resetting_what_did_not_fail_only_forgets_its_restarts [KeepsFailures],
    a_unit_that_waits_long_between_restarts_has_no_start_limit,
    a_unit_that_loops_is_counted_and_not_down_before_its_limit [RestartDelay],
    the_log_of_a_failed_run_is_there_to_its_last_line [Logs],
    log_of_a_failed_start_names_the_missing_image_until_a_later_run [FailedStarts, Logs],
    a_log_is_answered_for_every_name_and_reading_it_changes_nothing [Logs],
    a_drop_in_is_named_once_it_is_loaded [LoadsUnits],
    a_service_that_cannot_be_read_hides_no_other,
    reload_is_refused_if_a_broken_unmanaged_file_would_unload_units [LoadsUnits],
    reload_without_a_generator_unloads_no_managed_unit [LoadsUnits],
    rate_limited_reload_is_transient_and_loads_nothing [LoadsUnits],
    a_job_that_is_not_waited_for_long_enough_may_yet_be_done,
    without_a_service_manager_every_call_is_unavailable,
    a_start_without_the_image_fails_and_nothing_runs,
    a_start_or_stop_by_another_instance_wakes_whoever_waits [Changes],
    the_end_of_a_job_and_of_a_program_wake_whoever_waits [Changes],
    a_change_while_nobody_waits_is_reported_to_the_next_call [Changes],
}
