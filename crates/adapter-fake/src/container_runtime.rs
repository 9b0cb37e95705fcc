//! `ContainerRuntime` on the fake host.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerRuntime, PortResult};

use crate::host::FakeHost;
use crate::journal::{Call, Counts, Method, Port};
use crate::world::World;

#[async_trait]
impl ContainerRuntime for FakeHost {
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ContainerState>> {
        let call = Call::new(Port::Containers, Method::Observe, None);
        let read = |world: &World, _, name: &_, ()| world.container(name);
        let names = names.iter().map(|name| (name, ())).collect();
        let answer = self.read_each(call, names, read, World::saw_container).await;
        self.state().journal.counts.processes += 1;
        answer
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let call = Call::new(Port::Containers, Method::Remove, Some(name));
        let remove = |world: &mut World, counts: &mut Counts, now| {
            counts.processes += 1;
            let removed = world.remove_our_container(name, now)?;
            counts.container_removals += u32::from(removed);
            Ok(())
        };
        self.act(call, remove).await
    }
}
