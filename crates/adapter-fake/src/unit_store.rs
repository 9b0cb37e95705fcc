//! `UnitStore` on the fake host.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::{UnitFile, UnitSpec};
use companion_core::ports::{PortResult, UnitStore};

use crate::host::FakeHost;
use crate::journal::{Call, Method, Port};
use crate::world::World;

#[async_trait]
impl UnitStore for FakeHost {
    async fn observe(
        &self,
        names: &BTreeMap<CompanionName, Option<UnitSpec>>,
    ) -> BTreeMap<CompanionName, PortResult<UnitFile>> {
        let call = Call::new(Port::Units, Method::Observe, None);
        let read = |world: &World, _, name: &_, wanted: &Option<UnitSpec>| {
            world.unit_file(name, wanted.as_ref())
        };
        self.read_each(call, names.iter().collect(), read, World::saw_file).await
    }

    async fn list(&self) -> PortResult<BTreeSet<CompanionName>> {
        let call = Call::new(Port::Units, Method::List, None);
        self.read(call, |world, _| Ok(world.our_units())).await
    }

    async fn write(&self, unit: &UnitSpec) -> PortResult<()> {
        let call = Call::new(Port::Units, Method::Write, Some(&unit.name));
        let takes = self.state().world.delays.write;
        self.act_slowly(
            call,
            takes,
            |world, counts, _| {
                counts.processes += u32::from(world.conditions.validates);
                let written = world.write_unit(unit)?;
                counts.unit_writes += u32::from(written);
                Ok(())
            },
            World::sync_units,
        )
        .await
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let call = Call::new(Port::Units, Method::Remove, Some(name));
        let takes = self.state().world.delays.write;
        self.act_slowly(
            call,
            takes,
            |world, counts, _| {
                let removed = world.remove_unit(name)?;
                counts.unit_removals += u32::from(removed);
                Ok(())
            },
            World::sync_units,
        )
        .await
    }
}
