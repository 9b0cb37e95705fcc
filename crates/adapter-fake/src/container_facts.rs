//! `ContainerFacts` on the fake host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerFacts, PortResult};

use crate::host::FakeHost;
use crate::journal::{Call, Method, Port};

#[async_trait]
impl ContainerFacts for FakeHost {
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> PortResult<BTreeMap<CompanionName, ContainerState>> {
        let call = Call::new(Port::Containers, Method::Observe, None);
        let read = self.read_seeing(
            call,
            |world, _| {
                world.needs_podman()?;
                let states = names.iter().map(|name| Ok((name.clone(), world.container(name)?)));
                states.collect()
            },
            |world| names.iter().for_each(|name| world.saw_container(name)),
        );
        let answer = read.await;
        self.state().journal.counts.processes += 1;
        answer
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let call = Call::new(Port::Containers, Method::Remove, Some(name));
        self.act(
            call,
            Duration::ZERO,
            |world, counts, now| {
                counts.processes += 1;
                let removed = world.remove_our_container(name, now)?;
                counts.container_removals += u32::from(removed);
                Ok(())
            },
            |_| (),
        )
        .await
    }
}
