//! Rebasing distinguishes what will behave differently, and nothing else.

use super::*;

const ORIGIN: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn worlds_that_differ_only_in_when_they_were_reached_are_one() {
    let bench = Bench::new();
    bench.converge().await;
    bench.restart().await.unwrap();
    bench.pass(2 * ORIGIN).await;
    let early = bench.host.change(|world, now| world.rebased(now, ORIGIN));
    bench.restart().await.unwrap();
    bench.pass(3 * ORIGIN).await;
    let late = bench.host.change(|world, now| world.rebased(now, ORIGIN));
    assert_eq!(early, late);
}

#[tokio::test(start_paused = true)]
async fn a_rebased_world_goes_on_as_it_would_have() {
    let bench = Bench::new();
    bench.converge().await;
    bench.host.kill_container(bench.name());
    bench.pass(4 * SECOND).await;
    let rebase = |host: &FakeHost| host.change(|world, now| world.rebased(now, ORIGIN));
    let mut rebased = rebase(&bench.host);
    assert_eq!(rebased.next_event(), Some(ORIGIN + 6 * SECOND));
    rebased.advance(ORIGIN + 30 * SECOND);
    bench.pass(30 * SECOND).await;
    assert_eq!(rebased.rebased(ORIGIN + 30 * SECOND, ORIGIN), rebase(&bench.host));
}

#[tokio::test(start_paused = true)]
async fn worlds_that_are_at_different_points_of_a_delay_are_two() {
    let bench = Bench::new();
    bench.converge().await;
    bench.host.kill_container(bench.name());
    let rebase = |host: &FakeHost| host.change(|world, now| world.rebased(now, ORIGIN));
    let early = rebase(&bench.host);
    bench.pass(SECOND).await;
    assert_ne!(early, rebase(&bench.host));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_job_that_is_waited_for_is_not_forgotten() {
    let bench = Bench::new();
    bench.converge().await;
    let job = bench.host.begin(bench.name(), Verb::Restart).await.unwrap();
    bench.pass(30 * SECOND).await;
    let mut waited = [job.id.parse().unwrap()];
    let rebased = bench.host.change(|world, now| world.rebased_for(now, ORIGIN, &mut waited));
    assert_eq!(rebased.job_result(waited[0]), Some(crate::world::JobResult::Done));
}
