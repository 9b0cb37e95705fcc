//! `DesiredStore` on the fake host, and the host's lock.

use async_trait::async_trait;
use companion_core::model::desired::DesiredState;
use companion_core::ports::{DesiredStore, HostLock, PortError, PortErrorKind, PortResult};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::host::FakeHost;
use crate::journal::{Call, Method, Port};
use crate::world::conditions::Disk;

/// Holds the lock; what the world knows of it goes first.
struct Guard {
    host: FakeHost,
    _held: OwnedMutexGuard<()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.host.state().world.locked = false;
    }
}

impl FakeHost {
    async fn take_lock(&self) -> PortResult<HostLock> {
        let (disk, limit) = {
            let world = &self.state().world;
            (world.conditions.disk, world.delays.lock_limit)
        };
        if disk == Disk::ReadOnly {
            let message = "cannot open the lock: read-only file system";
            return Err(PortError::new(PortErrorKind::Denied, message));
        }
        let lock = self.shared.lock.clone();
        let Ok(held) = timeout(limit, lock.lock_owned()).await else {
            let message = "another process holds the lock";
            return Err(PortError::new(PortErrorKind::Transient, message));
        };
        self.state().world.locked = true;
        Ok(HostLock::new(Guard { host: self.clone(), _held: held }))
    }
}

#[async_trait]
impl DesiredStore for FakeHost {
    async fn load(&self) -> PortResult<DesiredState> {
        let call = Call::new(Port::Desired, Method::Load, None);
        let specs = self.specs();
        self.read(call, |world, _| world.desired(&specs)).await
    }

    async fn lock(&self) -> PortResult<HostLock> {
        let call = Call::new(Port::Desired, Method::Lock, None);
        let (number, mode) = self.begin(&call);
        self.strike_before(&call, mode.as_ref(), number).await?;
        let result = self.take_lock().await;
        let struck = self.strike_after(&call, mode.as_ref()).await;
        self.end(number, struck.and(result))
    }
}
