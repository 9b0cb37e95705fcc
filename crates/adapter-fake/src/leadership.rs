//! `Leadership` on the fake host. The kernel would release the lease, so it is not part of the world.

use async_trait::async_trait;
use companion_core::ports::{Acquired, Leadership, Lease, PortResult};

use crate::host::FakeHost;
use crate::journal::{Call, Method, Port};

/// Releases leadership when dropped.
struct Guard {
    host: FakeHost,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.host.state().leader = None;
    }
}

impl Lease for Guard {
    fn is_held(&self) -> bool {
        true
    }
}

impl FakeHost {
    /// Returns the leading actor, if any.
    pub fn leader(&self) -> Option<u8> {
        self.state().leader
    }

    fn acquire_now(&self) -> Acquired {
        let mut state = self.state();
        match state.leader {
            Some(leader) => Acquired::Led { by: format!("actor {leader}") },
            None => {
                state.leader = Some(self.actor);
                Acquired::Leading(Box::new(Guard { host: self.clone() }))
            }
        }
    }
}

#[async_trait]
impl Leadership for FakeHost {
    async fn acquire(&self) -> PortResult<Acquired> {
        let call = Call::new(Port::Leadership, Method::Acquire, None);
        self.call(&call, async { Ok(self.acquire_now()) }).await
    }
}
