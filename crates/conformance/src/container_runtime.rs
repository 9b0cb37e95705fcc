//! The contract of `ContainerRuntime`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerRuntime, PortErrorKind};

use crate::assertions::{Done as _, all_read, each_refused, only, refused, same};
use crate::{Arranged, HostWorld, Unarranged, suite};

/// A host without containers, and ways to create them.
#[async_trait]
pub trait ContainerWorld: HostWorld {
    /// The port.
    fn containers(&self) -> Arc<dyn ContainerRuntime>;
    /// A name, a different one for each number below 10.
    fn name(&self, number: u8) -> CompanionName;
    /// Runs a container with the ownership label of its name.
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

async fn state_of(world: &World, name: &CompanionName) -> ContainerState {
    let names = BTreeSet::from([name.clone()]);
    only(all_read(world.containers().observe(&names).await), name)
}

fn ours(status: &str) -> ContainerState {
    let status = status.to_owned();
    ContainerState::Ours { status }
}

async fn container_with_the_ownership_label_is_managed_and_has_a_state(world: &World) {
    world.run_ours(&world.name(0)).await;
    same!(state_of(world, &world.name(0)).await, ours("running"));
    world.pause(&world.name(0)).await;
    same!(state_of(world, &world.name(0)).await, ours("paused"), "the container is paused");
    world.leave_ours(&world.name(1)).await;
    same!(state_of(world, &world.name(1)).await, ours("exited"), "the container exited");
}

async fn an_unmanaged_container_is_never_removed(world: &World) {
    let name = world.name(0);
    world.run_unmanaged(&name).await;
    let before = state_of(world, &name).await;
    assert!(matches!(before, ContainerState::Unmanaged { .. }), "it is unmanaged: {before:?}");
    refused(world.containers().remove(&name).await, PortErrorKind::Conflict);
    same!(state_of(world, &name).await, before, "it stays");
}

async fn managed_container_is_removed_in_any_state_and_no_other_with_it(world: &World) {
    let [running, paused, left] = [0, 1, 2].map(|number| world.name(number));
    world.run_ours(&running).await;
    world.run_ours(&paused).await;
    world.pause(&paused).await;
    world.leave_ours(&left).await;
    for (name, status) in [(&left, "exited"), (&paused, "paused"), (&running, "running")] {
        same!(state_of(world, name).await, ours(status), "no other one was removed");
        for _ in ["what is there", "what is not there"] {
            world.containers().remove(name).await.done();
            same!(state_of(world, name).await, ContainerState::Absent);
        }
    }
    world.run_ours(&left).await;
    same!(state_of(world, &left).await, ours("running"), "the name can be taken again");
}

async fn the_answer_has_an_entry_for_every_name_and_reading_changes_nothing(world: &World) {
    world.run_ours(&world.name(0)).await;
    world.run_unmanaged(&world.name(1)).await;
    let names: BTreeSet<_> = (0..3).map(|number| world.name(number)).collect();
    let before = all_read(world.containers().observe(&names).await);
    assert!(before.keys().eq(&names), "the answer has an entry for every name");
    for _ in 0..2 {
        same!(all_read(world.containers().observe(&names).await), before);
    }
    let nobody = world.containers().observe(&BTreeSet::new()).await;
    assert!(nobody.is_empty(), "the answer about no name is empty");
}

async fn a_container_that_cannot_be_read_hides_no_other(world: &World) -> Arranged {
    let [hidden, seen, absent] = [0, 1, 2].map(|number| world.name(number));
    world.run_ours(&hidden).await;
    world.run_ours(&seen).await;
    world.make_unreadable(&hidden).await?;
    let names = BTreeSet::from([hidden.clone(), seen.clone(), absent.clone()]);
    let mut states = world.containers().observe(&names).await;
    assert!(states.keys().eq(&names), "the answer has an entry for every name");
    let unreadable = states.remove(&hidden).is_some_and(|state| state.is_err());
    assert!(unreadable, "the unreadable entry is an error");
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

suite! { container_runtime, ContainerWorld:
    the_answer_has_an_entry_for_every_name_and_reading_changes_nothing,
    container_with_the_ownership_label_is_managed_and_has_a_state,
    an_unmanaged_container_is_never_removed,
    managed_container_is_removed_in_any_state_and_no_other_with_it,
    a_container_that_cannot_be_read_hides_no_other,
    without_a_container_host_reading_is_unavailable,
}
