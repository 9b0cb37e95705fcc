//! `DesiredStore` on the fake host, and the host's lock.

use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::desired::{DesiredState, Generation};
use companion_core::ports::{DesiredStore, HostLock, PortError, PortErrorKind, PortResult};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::host::FakeHost;
use crate::journal::{Call, Method, Port};
use crate::world::World;
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
    /// Records that `spec` is wished for as a caller does: under the lock, past the gates, and for
    /// good only once it is synced.
    ///
    /// # Errors
    /// Those of [`DesiredStore::lock`], and those of a fault.
    pub async fn record_install(&self, spec: &CompanionSpec) -> PortResult<Generation> {
        let id = self.state().specs.id(spec);
        self.record(&spec.name, |world| world.wish_exists(&spec.name, id)).await
    }

    /// Records that nothing of `name` is to be left, in the same way.
    ///
    /// # Errors
    /// As [`record_install`](Self::record_install).
    pub async fn record_removal(&self, name: &CompanionName) -> PortResult<Generation> {
        self.record(name, |world| world.wish_gone(name)).await
    }

    async fn record(
        &self,
        name: &CompanionName,
        wish: impl FnOnce(&mut World) -> Generation + Send,
    ) -> PortResult<Generation> {
        let _lock = self.take_lock().await?;
        let call = Call::new(Port::Desired, Method::Record, Some(name));
        self.act(
            call,
            Duration::ZERO,
            |world, _, _| Ok(world.unsynced(name, wish)),
            World::sync_record,
        )
        .await
    }

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
