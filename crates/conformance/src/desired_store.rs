//! The contract of `DesiredStore`.

use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::ports::{DesiredStore, PortErrorKind};

use crate::assertions::{Done as _, refused, same};
use crate::{Arranged, HostWorld, Unarranged, suite};

/// A host with an empty desired state, and ways to record intents.
#[async_trait]
pub trait DesiredWorld: HostWorld {
    /// The store.
    fn desired(&self) -> Arc<dyn DesiredStore>;
    /// Another instance on the same store, as in another process.
    fn another(&self) -> Arc<dyn DesiredStore>;
    /// A companion, a different one for each number below 10, with a hook.
    fn spec(&self, number: u8) -> CompanionSpec;
    /// Records an install of `spec`.
    async fn install(&self, spec: &CompanionSpec);
    /// Records a removal of `name`.
    async fn remove(&self, name: &CompanionName);
    /// Corrupts the record.
    async fn corrupt(&self);
    /// Makes the record unreadable, also for its owner.
    async fn forbid(&self) -> Arranged {
        Err(Unarranged("record that can be forbidden"))
    }
}

type World = dyn DesiredWorld;

async fn exactly_the_recorded_specifications_are_loaded_unchanged(world: &World) {
    let desired = world.desired().load().await.done();
    assert!(desired.targets.is_empty(), "a new host has no desired companion");
    for number in 0..2 {
        world.install(&world.spec(number)).await;
    }
    let desired = world.desired().load().await.done();
    same!(desired.present().count(), 2, "both companions are recorded");
    for number in 0..2 {
        let spec = world.spec(number);
        same!(*desired.companion(&spec.name).unwrap().spec(), spec);
    }
}

async fn removal_is_recorded_with_its_hook(world: &World) {
    let spec = world.spec(0);
    world.install(&spec).await;
    world.remove(&spec.name).await;
    let desired = world.desired().load().await.done();
    assert!(desired.companion(&spec.name).is_none(), "a removed companion is not desired");
    same!(desired.removal(&spec.name).unwrap().hook, spec.hook, "the removal names its hook");
}

async fn every_intent_has_a_greater_generation(world: &World) {
    let spec = world.spec(0);
    let mut before = None;
    for _ in 0..2 {
        world.install(&spec).await;
        let installed = world.desired().load().await.done();
        let installed = installed.generation(&spec.name);
        assert!(installed > before, "{installed:?} after {before:?}");
        world.remove(&spec.name).await;
        let removed = world.desired().load().await.done();
        let removed = removed.generation(&spec.name);
        assert!(removed > installed, "{removed:?} after {installed:?}");
        before = removed;
    }
}

async fn intent_changes_no_other_companion(world: &World) {
    let (one, other) = (world.spec(0), world.spec(1));
    world.install(&one).await;
    let before = world.desired().load().await.done().generation(&one.name);
    world.install(&other).await;
    world.remove(&other.name).await;
    let after = world.desired().load().await.done().generation(&one.name);
    same!(after, before);
}

async fn what_one_instance_recorded_another_one_loads(world: &World) {
    world.install(&world.spec(0)).await;
    let one = world.desired().load().await.done();
    for instance in [world.another(), world.desired()] {
        same!(instance.load().await.done(), one, "each instance loads the same");
    }
}

async fn corrupt_record_is_invalid_and_not_empty(world: &World) {
    world.install(&world.spec(0)).await;
    world.corrupt().await;
    refused(world.desired().load().await, PortErrorKind::Invalid);
}

async fn a_record_that_may_not_be_read_is_denied_and_not_empty(world: &World) -> Arranged {
    world.install(&world.spec(0)).await;
    world.forbid().await?;
    refused(world.desired().load().await, PortErrorKind::Denied);
    Ok(())
}

suite! { desired_store, DesiredWorld:
    exactly_the_recorded_specifications_are_loaded_unchanged,
    removal_is_recorded_with_its_hook,
    every_intent_has_a_greater_generation,
    intent_changes_no_other_companion,
    what_one_instance_recorded_another_one_loads,
    corrupt_record_is_invalid_and_not_empty,
    a_record_that_may_not_be_read_is_denied_and_not_empty,
}
