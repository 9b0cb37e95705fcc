//! The contract of `Leadership`.

use std::sync::Arc;

use async_trait::async_trait;
use companion_core::ports::{Acquired, Leadership, Lease};

use crate::assertions::Done as _;
use crate::{HostWorld, suite};

/// A host without a leader.
#[async_trait]
pub trait LeadershipWorld: HostWorld {
    /// The leadership.
    fn leadership(&self) -> Arc<dyn Leadership>;
    /// Another instance for the same host, as in another process.
    fn another(&self) -> Arc<dyn Leadership>;
}

type World = dyn LeadershipWorld;

async fn lease(leadership: &dyn Leadership) -> Box<dyn Lease> {
    match leadership.acquire().await.done() {
        Acquired::Leading(lease) => lease,
        Acquired::Led { by } => panic!("expected no leader, but `{by}` is the leader"),
    }
}

async fn leader(leadership: &dyn Leadership) -> String {
    match leadership.acquire().await.done() {
        Acquired::Led { by } => by,
        Acquired::Leading(_) => panic!("two leaders at the same time"),
    }
}

async fn host_without_a_leader_can_be_led(world: &World) {
    let _lease = lease(&*world.leadership()).await;
}

async fn lease_excludes_every_other_instance(world: &World) {
    let _lease = lease(&*world.leadership()).await;
    leader(&*world.another()).await;
}

async fn lease_excludes_a_second_one_of_the_same_instance(world: &World) {
    let leadership = world.leadership();
    let _lease = lease(&*leadership).await;
    leader(&*leadership).await;
}

async fn leader_is_named(world: &World) {
    let _lease = lease(&*world.leadership()).await;
    assert_ne!(leader(&*world.another()).await, "", "the leader has a name");
}

async fn dropped_lease_frees_the_leadership(world: &World) {
    for _ in 0..3 {
        drop(lease(&*world.leadership()).await);
        drop(lease(&*world.another()).await);
    }
}

async fn refused_attempt_changes_nothing_for_the_leader(world: &World) {
    let held = lease(&*world.leadership()).await;
    for _ in 0..3 {
        leader(&*world.another()).await;
    }
    drop(held);
    let _lease = lease(&*world.another()).await;
}

/// Calls a macro with the cases of this suite, each with the traits that it needs.
#[macro_export]
macro_rules! leadership_cases {
    ($with:ident $(, $world:ident)?) => {
        $with! { leadership $(, $world)?:
            host_without_a_leader_can_be_led,
            lease_excludes_every_other_instance,
            lease_excludes_a_second_one_of_the_same_instance,
            leader_is_named,
            dropped_lease_frees_the_leadership,
            refused_attempt_changes_nothing_for_the_leader,
        }
    };
}

leadership_cases!(suite, LeadershipWorld);
