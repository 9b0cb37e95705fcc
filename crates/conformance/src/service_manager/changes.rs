//! Reported changes: what wakes whoever waits for one.

use std::sync::Arc;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::container::RestartPolicy;
use companion_core::model::service::{ServiceState, Verb};
use companion_core::ports::{Hint, ServiceManager};
use tokio::time::timeout;

use super::{World, load, run, state_of, stop};
use crate::assertions::Done as _;

/// The time in which a change must be reported.
const SOON: Duration = Duration::from_secs(10);
/// Without a report for this long, the changes of before were all reported.
const QUIET: Duration = Duration::from_secs(1);

/// Waits until no change of before is reported any more.
async fn quiet(services: &dyn ServiceManager) {
    for _ in 0..30 {
        if timeout(QUIET, services.changed()).await.is_err() {
            return;
        }
    }
    panic!("changes are reported without end, although nothing changes");
}

/// Fails unless `change` wakes a call that waits for one.
async fn wakes(
    services: &Arc<dyn ServiceManager>,
    what: &str,
    change: impl Future<Output = ()> + Send,
) {
    quiet(&**services).await;
    let (woken, ()) = tokio::join!(timeout(SOON, services.changed()), change);
    assert!(woken.is_ok(), "{what} was not reported within {} s", SOON.as_secs());
}

pub(super) async fn a_start_or_stop_by_another_instance_wakes_whoever_waits(world: &World) {
    let unit = world.unit(0);
    load(world, &unit).await;
    let _observed = state_of(world, &unit.name).await;
    let (services, another) = (world.services(), world.another());
    for (what, verb) in [("a start", Verb::Start), ("a stop", Verb::Stop)] {
        let change = async {
            let job = another.begin(&unit.name, verb).await.done();
            another.wait(job).await.done();
        };
        wakes(&services, what, change).await;
    }
}

pub(super) async fn the_end_of_a_job_and_of_a_program_wake_whoever_waits(world: &World) {
    let mut unit = world.unit(0);
    unit.container.restart = RestartPolicy::No;
    load(world, &unit).await;
    let _observed = state_of(world, &unit.name).await;
    let services = world.services();
    quiet(&*services).await;
    let started = async {
        let job = services.begin(&unit.name, Verb::Start).await.done();
        services.wait(job).await.done();
    };
    tokio::join!(started, follows(world, &unit.name, "the end of a start", ServiceState::is_up));
    world.ready(&unit.name).await;
    quiet(&*services).await;
    let killed = world.kill(&unit.name);
    tokio::join!(killed, follows(world, &unit.name, "the end of a program", ServiceState::is_down));
}

/// Follows the reported changes until the state is reached, and observes after each of them only: a change whose
/// beginning alone is reported is never seen to end.
async fn follows(
    world: &World,
    name: &CompanionName,
    what: &str,
    is_reached: fn(&ServiceState) -> bool,
) {
    let services = world.services();
    loop {
        let reported = timeout(SOON, services.changed()).await;
        assert!(reported.is_ok(), "{what} was not reported within {} s", SOON.as_secs());
        if is_reached(&state_of(world, name).await) {
            return;
        }
    }
}

pub(super) async fn a_change_while_nobody_waits_is_reported_to_the_next_call(world: &World) {
    let unit = world.unit(0);
    run(world, &unit).await;
    let _observed = state_of(world, &unit.name).await;
    let services = world.services();
    quiet(&*services).await;
    stop(world, &unit.name).await;
    let woken = timeout(SOON, services.changed()).await;
    let Ok(hint) = woken else {
        panic!("a stop while nobody waited was not reported to the next call");
    };
    let concerns = match &hint {
        Hint::All => true,
        Hint::Companions(names) => names.contains(&unit.name),
    };
    assert!(concerns, "a stop of `{}` was reported as {hint:?}", unit.name);
}
