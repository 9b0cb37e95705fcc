//! The contract of `ContainerRuntime`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerRuntime, PortErrorKind};

use crate::assertions::{Done as _, all_read, each_refused, only, refused, same};
use crate::failure::at_caller;
use crate::{Arranged, HostWorld, Unarranged, suite};

/// A host without containers, and ways to create them.
#[async_trait]
pub trait ContainerWorld: HostWorld {
    /// The port.
    fn containers(&self) -> Arc<dyn ContainerRuntime>;
    /// A name, a different one for each number below 10.
    fn name(&self, number: u8) -> CompanionName;
    /// Runs a container with the ownership label of its own name.
    async fn run_ours(&self, name: &CompanionName);
    /// Creates an exited container with the ownership label.
    async fn leave_ours(&self, name: &CompanionName);
    /// Runs a container without the ownership label.
    async fn run_unmanaged(&self, name: &CompanionName);
    /// Pauses the container.
    async fn pause(&self, name: &CompanionName);
    /// Makes the container of `name` unreadable.
    async fn make_unreadable(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("container that cannot be read"))
    }
    /// An instance on a host without Podman for containers.
    async fn without_host(&self) -> Arranged<Arc<dyn ContainerRuntime>> {
        Err(Unarranged("host without a container program"))
    }
}

type World = dyn ContainerWorld;

#[track_caller]
fn state_of<'a>(
    world: &'a World,
    name: &'a CompanionName,
) -> impl Future<Output = ContainerState> + Send + 'a {
    at_caller(async move {
        let names = BTreeSet::from([name.clone()]);
        only(all_read(world.containers().observe(&names).await), name)
    })
}

fn ours(status: &str) -> ContainerState {
    let status = status.to_owned();
    ContainerState::Ours { status }
}

async fn a_name_without_a_container_is_absent(world: &World) {
    same!(state_of(world, &world.name(0)).await, ContainerState::Absent, "there is no container");
}

async fn the_answer_has_an_entry_for_every_name(world: &World) {
    world.run_ours(&world.name(1)).await;
    world.run_unmanaged(&world.name(2)).await;
    let names: BTreeSet<_> = (0..4).map(|number| world.name(number)).collect();
    let states = all_read(world.containers().observe(&names).await);
    assert!(states.keys().eq(names.iter()), "the answer has an entry for every name");
}

async fn container_with_the_ownership_label_is_managed_and_has_a_state(world: &World) {
    world.run_ours(&world.name(0)).await;
    same!(state_of(world, &world.name(0)).await, ours("running"), "the container runs");
    world.pause(&world.name(0)).await;
    same!(state_of(world, &world.name(0)).await, ours("paused"), "the container is paused");
    world.leave_ours(&world.name(1)).await;
    same!(state_of(world, &world.name(1)).await, ours("exited"), "the container exited");
}

async fn container_without_the_ownership_label_is_unmanaged(world: &World) {
    world.run_unmanaged(&world.name(0)).await;
    let state = state_of(world, &world.name(0)).await;
    assert!(
        matches!(state, ContainerState::Unmanaged { .. }),
        "the container is unmanaged and stays: {state:?}"
    );
}

async fn an_unmanaged_container_is_never_removed(world: &World) {
    let name = world.name(0);
    world.run_unmanaged(&name).await;
    let removed = world.containers().remove(&name).await;
    refused(removed, PortErrorKind::Conflict);
    let state = state_of(world, &name).await;
    assert!(
        matches!(state, ContainerState::Unmanaged { .. }),
        "the container is unmanaged and stays: {state:?}"
    );
}

async fn managed_container_is_removed_in_any_state(world: &World) {
    let [running, paused, left] = [0, 1, 2].map(|number| world.name(number));
    world.run_ours(&running).await;
    world.run_ours(&paused).await;
    world.pause(&paused).await;
    world.leave_ours(&left).await;
    for name in [running, paused, left] {
        world.containers().remove(&name).await.done();
        same!(state_of(world, &name).await, ContainerState::Absent, "there is no container");
    }
}

async fn removing_what_is_not_there_is_a_success(world: &World) {
    let name = world.name(0);
    world.containers().remove(&name).await.done();
    world.leave_ours(&name).await;
    world.containers().remove(&name).await.done();
    world.containers().remove(&name).await.done();
}

async fn removing_one_container_touches_no_other(world: &World) {
    world.leave_ours(&world.name(0)).await;
    world.run_ours(&world.name(1)).await;
    world.containers().remove(&world.name(0)).await.done();
    same!(state_of(world, &world.name(1)).await, ours("running"), "the container runs");
}

async fn looking_at_containers_changes_nothing(world: &World) {
    world.run_ours(&world.name(0)).await;
    world.run_unmanaged(&world.name(1)).await;
    let names: BTreeSet<_> = (0..3).map(|number| world.name(number)).collect();
    let before = all_read(world.containers().observe(&names).await);
    for _ in 0..2 {
        same!(
            all_read(world.containers().observe(&names).await),
            before,
            "reading changes nothing"
        );
    }
    assert!(
        world.containers().observe(&BTreeSet::new()).await.is_empty(),
        "the answer about no name is empty"
    );
}

async fn a_name_that_was_freed_can_be_taken_again(world: &World) {
    let name = world.name(0);
    world.leave_ours(&name).await;
    world.containers().remove(&name).await.done();
    world.run_ours(&name).await;
    same!(state_of(world, &name).await, ours("running"), "the container runs");
}

async fn a_container_that_cannot_be_read_hides_no_other(world: &World) -> Arranged {
    let [hidden, seen, absent] = [0, 1, 2].map(|number| world.name(number));
    world.run_ours(&hidden).await;
    world.run_ours(&seen).await;
    world.make_unreadable(&hidden).await?;
    let names = BTreeSet::from([hidden.clone(), seen.clone(), absent.clone()]);
    let mut states = world.containers().observe(&names).await;
    assert!(states.keys().eq(&names), "the answer has an entry for every name");
    assert!(
        states.remove(&hidden).is_some_and(|state| state.is_err()),
        "the unreadable entry is an error"
    );
    let rest = BTreeMap::from([(seen, ours("running")), (absent, ContainerState::Absent)]);
    same!(all_read(states), rest, "the other entries are readable");
    Ok(())
}

async fn without_a_container_host_reading_is_unavailable(world: &World) -> Arranged {
    let containers = world.without_host().await?;
    let [name, other] = [0, 1].map(|number| world.name(number));
    let names = BTreeSet::from([name.clone(), other]);
    each_refused(containers.observe(&names).await, &names, PortErrorKind::Unavailable);
    refused(containers.remove(&name).await, PortErrorKind::Unavailable);
    Ok(())
}

/// Calls a macro with the cases of this suite, each with the traits that it needs.
#[macro_export]
macro_rules! container_runtime_cases {
    ($with:ident $(, $world:ident)?) => {
        $with! { container_runtime $(, $world)?:
            a_name_without_a_container_is_absent,
            the_answer_has_an_entry_for_every_name,
            container_with_the_ownership_label_is_managed_and_has_a_state,
            container_without_the_ownership_label_is_unmanaged,
            an_unmanaged_container_is_never_removed,
            managed_container_is_removed_in_any_state,
            removing_what_is_not_there_is_a_success,
            removing_one_container_touches_no_other,
            looking_at_containers_changes_nothing,
            a_name_that_was_freed_can_be_taken_again,
            a_container_that_cannot_be_read_hides_no_other,
            without_a_container_host_reading_is_unavailable,
        }
    };
}

container_runtime_cases!(suite, ContainerWorld);
