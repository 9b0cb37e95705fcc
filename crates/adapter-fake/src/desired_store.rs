//! `DesiredStore` on the fake host.

use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::desired::{DesiredState, Generation};
use companion_core::ports::{DesiredStore, PortResult};

use crate::host::FakeHost;
use crate::journal::{Call, Counts, Method, Port};
use crate::world::World;

impl FakeHost {
    /// Records an install of `spec` as a caller does: through the gates, durable only once synced.
    ///
    /// # Errors
    /// `Transient` and `Denied` from the disk.
    pub async fn record_install(&self, spec: &CompanionSpec) -> PortResult<Generation> {
        let id = self.state().specs.id(spec);
        self.record(&spec.name, |world| world.intent_exists(&spec.name, id)).await
    }

    /// Records a removal of `name`, in the same way.
    ///
    /// # Errors
    /// As [`record_install`](Self::record_install).
    pub async fn record_removal(&self, name: &CompanionName) -> PortResult<Generation> {
        self.record(name, |world| world.intent_removed(name)).await
    }

    /// Returns the desired state of `actor`: the record as it last read it.
    pub fn loaded(&self, actor: u8) -> DesiredState {
        self.state().loaded.get(&actor).cloned().unwrap_or_default()
    }

    async fn record(
        &self,
        name: &CompanionName,
        intent: impl FnOnce(&mut World) -> Generation + Send,
    ) -> PortResult<Generation> {
        let call = Call::new(Port::Desired, Method::Record, Some(name));
        let write = |world: &mut World, _: &mut Counts, _| {
            world.disk_takes("the record of desired companions")?;
            Ok(world.unsynced(name, intent))
        };
        self.act_slowly(call, Duration::ZERO, write, World::sync_record).await
    }
}

#[async_trait]
impl DesiredStore for FakeHost {
    async fn load(&self) -> PortResult<DesiredState> {
        let call = Call::new(Port::Desired, Method::Load, None);
        let specs = self.specs();
        let desired = self.read(call, |world, _| world.desired(&specs)).await?;
        self.state().loaded.insert(self.actor, desired.clone());
        Ok(desired)
    }
}
