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

async fn lease_excludes_every_other_instance(world: &World) {
    let leadership = world.leadership();
    let held = lease(&*leadership).await;
    for instance in [leadership, world.another(), world.another()] {
        assert_ne!(leader(&*instance).await, "", "the leader has a name");
    }
    drop(held);
    let _lease = lease(&*world.another()).await;
}

async fn dropped_lease_frees_the_leadership(world: &World) {
    for _ in 0..3 {
        drop(lease(&*world.leadership()).await);
        drop(lease(&*world.another()).await);
    }
}

suite! { leadership, LeadershipWorld:
    lease_excludes_every_other_instance,
    dropped_lease_frees_the_leadership,
}
