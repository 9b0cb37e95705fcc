//! Changes to the unit directory of the fake host.

use std::sync::Arc;

use adapter_fake::world::conditions::{Disk, Generator};
use adapter_fake::world::units::UnitBytes;
use async_trait::async_trait;
use companion_conformance::Arranged;
use companion_conformance::unit_store::UnitStoreWorld;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore;

use super::{Fake, name, unit};

#[async_trait]
impl UnitStoreWorld for Fake {
    fn store(&self) -> Arc<dyn UnitStore> {
        self.ported()
    }
    fn another(&self) -> Arc<dyn UnitStore> {
        self.elsewhere()
    }
    fn unit(&self, number: u8) -> UnitSpec {
        unit(number)
    }
    async fn put_unmanaged(&self, name: &CompanionName) {
        self.host.put_unit(name, UnitBytes::Unmanaged);
    }
    async fn put_garbage(&self, name: &CompanionName) {
        self.host.put_unit(name, UnitBytes::Garbage);
    }
    async fn put_directory(&self, name: &CompanionName) {
        self.host.put_unit(name, UnitBytes::Directory);
    }
    async fn edit(&self, name: &CompanionName) {
        self.host.edit_unit(name);
    }
    async fn truncate(&self, name: &CompanionName) {
        self.host.put_unit(name, UnitBytes::Empty);
    }
    async fn expose(&self, name: &CompanionName) {
        self.host.expose_unit(name);
    }
    async fn cut(&self, name: &CompanionName) {
        self.host.edit_unit(name);
    }
    async fn copy(&self, _from: &CompanionName, to: &CompanionName) {
        self.host.put_unit(to, UnitBytes::Unmanaged);
    }
    async fn change_renderer(&self) {
        self.host.change_renderer();
    }
    async fn lose_store(&self) {
        (0..10).for_each(|number| self.host.delete_unit(&name(number)));
    }
    async fn lock_up(&self) {
        self.host.change(|world, _| world.conditions.disk = Disk::Denied);
    }
    async fn remove_validator(&self) -> Arranged {
        self.host.change(|world, _| world.conditions.generator = Generator::Missing);
        Ok(())
    }
    async fn forbid(&self, name: &CompanionName) {
        self.host.put_unit(name, UnitBytes::Unreadable);
    }
    async fn fill_disk(&self) -> Arranged {
        self.host.change(|world, _| world.conditions.disk = Disk::Full);
        Ok(())
    }
    async fn drop_in(&self, name: &CompanionName) -> Arranged {
        self.host.add_drop_in_of_file(name);
        Ok(())
    }
    async fn put_elsewhere(&self, name: &CompanionName) -> Arranged {
        self.host.shadow(name);
        Ok(())
    }
    async fn put_link(&self, name: &CompanionName) -> Arranged {
        self.host.put_unit(name, UnitBytes::Unmanaged);
        Ok(())
    }
    async fn add_name(&self, name: &CompanionName) -> Arranged {
        self.host.put_unit(name, UnitBytes::Unmanaged);
        Ok(())
    }
    async fn refuse(&self, name: &CompanionName) -> Arranged {
        self.host.refuse_unit(name, true);
        Ok(())
    }
    async fn trace(&self, name: &CompanionName) -> String {
        let world = self.host.world();
        format!("{:?}", world.slot(name).and_then(|slot| slot.file.now()))
    }
}
