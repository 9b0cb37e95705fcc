//! What a `DesiredStore` promises.

use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::ports::{DesiredStore, PortErrorKind};

use crate::{Arranged, Unarranged, optional_table, refused, table};

/// A host on which nothing is wished for, and the hands of those who wish.
#[async_trait]
pub trait DesiredWorld: Send + Sync {
    /// The store.
    fn desired(&self) -> Arc<dyn DesiredStore>;
    /// Another instance on the same place, as another process has it.
    fn another(&self) -> Arc<dyn DesiredStore>;
    /// A companion, a different one for each number below 10, with a hook.
    fn spec(&self, number: u8) -> CompanionSpec;
    /// Records that `spec` is wished for.
    async fn install(&self, spec: &CompanionSpec);
    /// Records that nothing of `name` is to be left.
    async fn remove(&self, name: &CompanionName);
    /// Makes the record unintelligible.
    async fn corrupt(&self);
    /// Lets nobody read the record, not even us.
    async fn forbid(&self) -> Arranged {
        Err(Unarranged("record that can be forbidden"))
    }
}

type World = dyn DesiredWorld;

async fn on_a_new_host_nothing_is_wished_for(world: &World) {
    let desired = world.desired().load().await.unwrap();
    assert!(desired.companions.is_empty() && desired.removed.is_empty());
}

async fn what_was_wished_for_is_loaded_as_it_was_said(world: &World) {
    for number in 0..2 {
        world.install(&world.spec(number)).await;
    }
    let desired = world.desired().load().await.unwrap();
    assert_eq!(desired.companions.len(), 2);
    for number in 0..2 {
        let spec = world.spec(number);
        assert_eq!(*desired.companions[&spec.name].spec(), spec);
    }
}

async fn what_was_wished_away_is_in_the_record_with_its_hook(world: &World) {
    let spec = world.spec(0);
    world.install(&spec).await;
    world.remove(&spec.name).await;
    let desired = world.desired().load().await.unwrap();
    assert!(!desired.companions.contains_key(&spec.name));
    assert_eq!(desired.removed[&spec.name].hook, spec.hook);
}

async fn every_wish_for_a_companion_has_a_greater_generation(world: &World) {
    let spec = world.spec(0);
    let mut before = None;
    for _ in 0..2 {
        world.install(&spec).await;
        let installed = world.desired().load().await.unwrap();
        let installed = installed.generation(&spec.name);
        assert!(installed > before, "{installed:?} after {before:?}");
        world.remove(&spec.name).await;
        let removed = world.desired().load().await.unwrap();
        let removed = removed.generation(&spec.name);
        assert!(removed > installed, "{removed:?} after {installed:?}");
        before = removed;
    }
}

async fn a_wish_changes_no_other_companions(world: &World) {
    let (one, other) = (world.spec(0), world.spec(1));
    world.install(&one).await;
    let before = world.desired().load().await.unwrap().generation(&one.name);
    world.install(&other).await;
    world.remove(&other.name).await;
    let after = world.desired().load().await.unwrap().generation(&one.name);
    assert_eq!(after, before);
}

async fn what_one_instance_recorded_another_one_loads(world: &World) {
    world.install(&world.spec(0)).await;
    let one = world.desired().load().await.unwrap();
    assert_eq!(world.another().load().await.unwrap(), one);
}

async fn a_record_that_makes_no_sense_is_invalid_and_not_empty(world: &World) {
    world.install(&world.spec(0)).await;
    world.corrupt().await;
    refused(world.desired().load().await, PortErrorKind::Invalid);
}

async fn loading_changes_nothing(world: &World) {
    world.install(&world.spec(0)).await;
    let before = world.desired().load().await.unwrap();
    for _ in 0..3 {
        assert_eq!(world.desired().load().await.unwrap(), before);
    }
}

async fn a_record_that_may_not_be_read_is_denied_and_not_empty(world: &World) -> Arranged {
    world.install(&world.spec(0)).await;
    world.forbid().await?;
    refused(world.desired().load().await, PortErrorKind::Denied);
    Ok(())
}

/// Calls a macro with the cases of this suite that every world can arrange.
#[macro_export]
macro_rules! desired_store_cases {
    ($with:ident $(, $world:ident)?) => {
        $with! { desired_store $(, $world)?:
            on_a_new_host_nothing_is_wished_for,
            what_was_wished_for_is_loaded_as_it_was_said,
            what_was_wished_away_is_in_the_record_with_its_hook,
            every_wish_for_a_companion_has_a_greater_generation,
            a_wish_changes_no_other_companions,
            what_one_instance_recorded_another_one_loads,
            a_record_that_makes_no_sense_is_invalid_and_not_empty,
            loading_changes_nothing,
        }
    };
}

/// Calls a macro with the cases of this suite that not every world can arrange.
#[macro_export]
macro_rules! desired_store_optional_cases {
    ($with:ident $(, $world:ident)?) => {
        $with! { desired_store $(, $world)?:
            a_record_that_may_not_be_read_is_denied_and_not_empty,
        }
    };
}

desired_store_cases!(table, DesiredWorld);
desired_store_optional_cases!(optional_table, DesiredWorld);
