//! How services end, come back, and do not, beyond what the conformance suite holds of every host.

use companion_core::model::service::{End, LoadedUnit, RunState, Verb};
use companion_core::model::unit::ContainerState;
use companion_core::ports::ContainerRuntime;

use super::*;
use crate::world::conditions::Generator;
use crate::world::files::RenderOutcome;

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
