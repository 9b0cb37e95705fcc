//! How services end, come back, and do not.

use companion_core::model::service::{End, LoadedUnit, RunState, Verb};
use companion_core::model::unit::ContainerState;
use companion_core::ports::ContainerRuntime;

use super::*;
use crate::world::conditions::{Generator, Limit};
use crate::world::files::RenderOutcome;

#[tokio::test(start_paused = true)]
async fn a_killed_container_is_back_after_its_restart_delay() {
    let bench = Bench::new();
    bench.converge().await;
    bench.host.kill_container(bench.name());
    let state = bench.state().await;
    assert_eq!((state.run, state.last_end), (RunState::BetweenRestarts, Some(End::Exit(137))));
    bench.pass(9 * SECOND).await;
    assert_eq!(bench.state().await.run, RunState::BetweenRestarts);
    bench.pass(2 * SECOND).await;
    let state = bench.state().await;
    assert_eq!((state.run, state.restarts), (RunState::Up, 1));
}

#[tokio::test(start_paused = true)]
async fn program_that_crashes_with_a_long_delay_is_restarted_forever() {
    let bench = Bench::new();
    bench.converge().await;
    bench.host.crash_loop(bench.name(), true);
    bench.pass(600 * SECOND).await;
    let state = bench.state().await;
    assert!(state.restarts > 50, "{state:?}");
    assert_ne!(state.run, RunState::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_crashes_with_a_short_delay_hits_the_start_limit() {
    let mut bench = Bench::new();
    bench.spec.container.restart_delay = None;
    bench.converge().await;
    bench.host.crash_loop(bench.name(), true);
    bench.pass(8 * SECOND).await;
    let state = bench.state().await;
    assert_eq!((state.run, state.last_end), (RunState::Failed, Some(End::Exit(1))));
    bench.host.crash_loop(bench.name(), false);
    bench.start().await.unwrap_err();
    bench.host.reset_failed(bench.name()).await.unwrap();
    bench.start().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_start_limit_is_over_with_its_interval() {
    let mut bench = Bench::new();
    bench.spec.container.restart_delay = None;
    bench.converge().await;
    bench.host.crash_loop(bench.name(), true);
    bench.pass(60 * SECOND).await;
    bench.host.crash_loop(bench.name(), false);
    assert_eq!(bench.state().await.run, RunState::Failed);
    bench.start().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_start_without_its_image_fails_with_125_and_is_tried_again() {
    let bench = Bench::new();
    bench.converge().await;
    bench.stop().await.unwrap();
    bench.host.remove_image(bench.reference());
    bench.start().await.unwrap_err();
    let state = bench.state().await;
    assert_eq!((state.run, state.last_end), (RunState::BetweenRestarts, Some(End::Exit(125))));
    bench.host.ensure(&bench.spec.image).await.unwrap();
    bench.pass(11 * SECOND).await;
    assert_eq!(bench.state().await.run, RunState::Up);
}

#[tokio::test(start_paused = true)]
async fn program_with_an_invalid_configuration_crashes_after_its_start() {
    let bench = Bench::new();
    bench.host.break_hook(bench.output(), Some(RenderOutcome::Nonsense));
    bench.converge().await;
    bench.pass(SECOND).await;
    let state = bench.state().await;
    assert_eq!((state.run, state.last_end), (RunState::BetweenRestarts, Some(End::Exit(1))));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_times_out_and_is_tried_again() {
    let bench = Bench::new();
    bench.converge().await;
    bench.stop().await.unwrap();
    let name = bench.name();
    bench.host.change(|world, _| world.behaviour_mut(name).never_ready = true);
    let begin = bench.host.now();
    bench.start().await.unwrap_err();
    assert!(bench.host.now() - begin >= 90 * SECOND);
    let state = bench.state().await;
    assert_eq!((state.run, state.last_end), (RunState::BetweenRestarts, Some(End::TimedOut)));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_ignores_the_signal_is_killed_and_its_service_failed() {
    let bench = Bench::new();
    bench.converge().await;
    let name = bench.name();
    bench.host.change(|world, _| world.behaviour_mut(name).ignores_stop = true);
    let begin = bench.host.now();
    bench.stop().await.unwrap();
    assert!(bench.host.now() - begin >= 10 * SECOND);
    let state = bench.state().await;
    assert_eq!((state.run, state.last_end), (RunState::Failed, Some(End::Exit(137))));
}

#[tokio::test(start_paused = true)]
async fn service_without_its_unit_runs_and_leaves_its_container_behind() {
    let bench = Bench::new();
    let unit = bench.converge().await;
    bench.host.delete_unit(bench.name());
    bench.host.reload().await.unwrap();
    let state = bench.state().await;
    assert_eq!((&state.unit, state.run), (&LoadedUnit::Absent, RunState::Up));
    assert_eq!(state.running, Some(unit.revision));
    bench.stop().await.unwrap();
    assert_eq!(bench.state().await, ServiceState::absent(), "nothing is left to be known");
    let names = [bench.name().clone()].into();
    let containers = ContainerRuntime::observe(&bench.host, &names).await;
    let status = "exited".to_owned();
    let left = companion_core::model::unit::ContainerState::Ours { status };
    assert_eq!(*containers[bench.name()].as_ref().unwrap(), left);
}

#[tokio::test(start_paused = true)]
async fn a_stop_cancels_the_start_that_is_under_way() {
    let bench = Bench::new();
    bench.converge().await;
    bench.stop().await.unwrap();
    let start = bench.host.begin(bench.name(), Verb::Start).await.unwrap();
    let stop = bench.host.begin(bench.name(), Verb::Stop).await.unwrap();
    bench.host.wait(start).await.unwrap();
    bench.host.wait(stop).await.unwrap();
    assert_eq!(bench.state().await.run, RunState::Down);
}

#[tokio::test(start_paused = true)]
async fn a_start_does_not_cut_the_restart_delay_short_but_a_restart_does() {
    let bench = Bench::new();
    bench.converge().await;
    bench.host.kill_container(bench.name());
    let begin = bench.host.now();
    bench.start().await.unwrap();
    assert!(bench.host.now() - begin >= 10 * SECOND);
    bench.host.kill_container(bench.name());
    let begin = bench.host.now();
    bench.restart().await.unwrap();
    assert!(bench.host.now() - begin < SECOND);
}

#[tokio::test(start_paused = true)]
async fn process_keeps_its_inputs_after_later_writes_and_reloads() {
    let bench = Bench::new();
    let unit = bench.converge().await;
    let mut newer = unit.clone();
    newer.revision.restart_epoch = 7;
    bench.host.write(&newer).await.unwrap();
    let state = bench.state().await;
    assert_eq!(state.loaded(), Some(unit.revision), "not reloaded yet");
    bench.host.reload().await.unwrap();
    bench.start().await.unwrap();
    let state = bench.state().await;
    assert_eq!((state.loaded(), state.running), (Some(newer.revision), Some(unit.revision)));
    bench.restart().await.unwrap();
    assert_eq!(bench.state().await.running, Some(newer.revision));
}

#[tokio::test(start_paused = true)]
async fn the_wall_clock_moves_no_deadline() {
    let bench = Bench::new();
    bench.converge().await;
    bench.host.kill_container(bench.name());
    bench.host.change(|world, _| world.conditions.wall_offset = -315_360_000);
    bench.pass(11 * SECOND).await;
    let state = bench.state().await;
    assert_eq!(state.run, RunState::Up);
    assert!(state.since.unwrap() < 1_700_000_000);
}

#[tokio::test(start_paused = true)]
async fn cancelled_job_ends_as_canceled_and_its_service_starts() {
    let bench = Bench::new();
    bench.converge().await;
    bench.stop().await.unwrap();
    let job = bench.host.begin(bench.name(), Verb::Start).await.unwrap();
    assert!(bench.state().await.busy);
    bench.host.cancel_job(bench.name());
    bench.host.wait(job).await.unwrap();
    bench.pass(SECOND).await;
    assert!(bench.state().await.is_up());
}

#[tokio::test(start_paused = true)]
async fn reloads_are_refused_above_their_limit_until_its_interval_is_over() {
    let bench = Bench::new();
    bench.host.change(|world, _| {
        world.conditions.reload_limit = Some(Limit { burst: 2, interval: 9 * SECOND });
    });
    bench.host.reload().await.unwrap();
    bench.host.reload().await.unwrap();
    let refused = bench.host.reload().await.unwrap_err();
    assert_eq!(refused.kind(), companion_core::ports::PortErrorKind::Transient);
    bench.pass(10 * SECOND).await;
    bench.host.reload().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn external_reload_without_a_generator_unloads_units_and_stops_none() {
    let bench = Bench::new();
    let unit = bench.converge().await;
    bench.host.change(|world, _| world.conditions.generator = Generator::Missing);
    let refused = bench.host.reload().await.unwrap_err();
    assert_eq!(refused.kind(), companion_core::ports::PortErrorKind::Unavailable);
    assert_eq!(bench.state().await.loaded(), Some(unit.revision));
    bench.host.reload_by_others();
    let state = bench.state().await;
    assert_eq!((state.unit, state.running), (LoadedUnit::Absent, Some(unit.revision)));
}

#[tokio::test(start_paused = true)]
async fn corrupt_generator_output_is_repaired_by_the_next_reload() {
    let bench = Bench::new();
    let unit = bench.converge().await;
    bench.host.change(|world, _| world.conditions.generator = Generator::CorruptsOnce);
    bench.host.reload().await.unwrap();
    let state = bench.state().await;
    assert!(matches!(state.unit, LoadedUnit::Unusable { .. }), "{state:?}");
    bench.host.reload().await.unwrap();
    assert_eq!(bench.state().await.loaded(), Some(unit.revision));
}

/// Found by the convergence property on a host without a loaded stage: a unit came or went during a start.
#[tokio::test(start_paused = true)]
async fn a_container_belongs_to_the_unit_that_it_was_started_from() {
    let bench = Bench::new();
    bench.converge().await;
    bench.host.shadow(bench.name());
    let stopped = bench.host.begin(bench.name(), Verb::Stop).await.unwrap();
    bench.host.wait(stopped).await.unwrap();
    let job = bench.host.begin(bench.name(), Verb::Start).await.unwrap();
    bench.host.unshadow(bench.name());
    bench.host.wait(job).await.unwrap();
    let names = [bench.name().clone()].into();
    let container = ContainerRuntime::observe(&bench.host, &names).await.remove(bench.name());
    assert!(matches!(container, Some(Ok(ContainerState::Unmanaged { .. }))), "{container:?}");
}
