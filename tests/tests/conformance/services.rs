//! Changes to the service manager of the fake host.

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::world::conditions::{Generator, Limit};
use adapter_fake::world::images::image_id;
use adapter_fake::world::units::UnitBytes;
use adapter_fake::{Fault, Method, Mode, Port};
use async_trait::async_trait;
use companion_conformance::Arranged;
use companion_conformance::service_manager::ServiceWorld;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::ImageId;
use companion_core::model::revision::Fingerprint;
use companion_core::model::service::Verb;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{PortErrorKind, ServiceManager, UnitStore};

use super::{Fake, unit};

#[async_trait]
impl ServiceWorld for Fake {
    fn services(&self) -> Arc<dyn ServiceManager> {
        self.ported()
    }
    fn unit(&self, number: u8) -> UnitSpec {
        unit(number)
    }
    fn another(&self) -> Arc<dyn ServiceManager> {
        self.elsewhere()
    }
    async fn ending_unit(&self, exit: u8) -> UnitSpec {
        let mut unit = unit(9);
        unit.container.restart_delay = None;
        self.host.change(|world, now| {
            world.behaviour_mut(&unit.name).crash_exit = Some(exit.into());
            world.crash_loop(&unit.name, true, now);
            world.say_at_end(&unit.name, &format!("about to end\nends with {exit}"));
        });
        unit
    }
    fn stubborn_unit(&self) -> UnitSpec {
        let mut unit = unit(8);
        unit.container.stop_timeout = Some(2);
        self.host.change(|world, _| world.behaviour_mut(&unit.name).ignores_stop = true);
        unit
    }
    async fn repair(&self, name: &CompanionName) {
        self.host.crash_loop(name, false);
    }
    fn absent_image(&self) -> ImageId {
        image_id(Fingerprint::of(b"absent"))
    }
    async fn write(&self, unit: &UnitSpec) {
        UnitStore::write(&self.host, unit).await.unwrap();
    }
    async fn write_refused(&self, name: &CompanionName) {
        self.host.put_unit(name, UnitBytes::Refused);
    }
    async fn write_unmanaged(&self, name: &CompanionName) {
        self.host.put_unit(name, UnitBytes::Unmanaged);
    }
    async fn delete(&self, name: &CompanionName) {
        self.host.delete_unit(name);
    }
    async fn hold(&self, name: &CompanionName) -> Arranged {
        self.host.mask(name);
        Ok(())
    }
    async fn release(&self, name: &CompanionName) -> Arranged {
        self.host.unmask(name);
        Ok(())
    }
    async fn shadow(&self, name: &CompanionName) -> Arranged {
        self.host.shadow(name);
        Ok(())
    }
    async fn unshadow(&self, name: &CompanionName) -> Arranged {
        self.host.unshadow(name);
        Ok(())
    }
    async fn start_unmanaged(&self, name: &CompanionName) -> Arranged {
        let job = self.host.begin(name, Verb::Start).await.unwrap();
        self.host.wait(job).await.unwrap();
        Ok(())
    }
    async fn kill(&self, name: &CompanionName) {
        self.host.kill_container(name);
    }
    async fn freeze(&self, name: &CompanionName) {
        self.host.pause_container(name);
    }
    async fn thaw(&self, name: &CompanionName) {
        self.host.unpause_container(name);
    }
    async fn drop_in(&self, name: &CompanionName) -> Arranged {
        self.host.add_drop_in_of_service(name);
        Ok(())
    }
    async fn make_unreadable(&self, name: &CompanionName) -> Arranged {
        let denied = Mode::Error(PortErrorKind::Denied);
        self.host.inject(Fault::always(Port::Services, Method::Observe, denied).only(name));
        Ok(())
    }
    async fn put_broken_unmanaged_file(&self) -> Arranged {
        self.host.change(|world, _| world.conditions.broken_unmanaged_file = true);
        Ok(())
    }
    async fn remove_broken_unmanaged_file(&self) -> Arranged {
        self.host.change(|world, _| world.conditions.broken_unmanaged_file = false);
        Ok(())
    }
    async fn without_generator(&self) -> Arranged<Arc<dyn ServiceManager>> {
        self.host.change(|world, _| world.conditions.generator = Generator::Missing);
        Ok(self.ported())
    }
    async fn without_manager(&self) -> Arranged<Arc<dyn ServiceManager>> {
        self.host.change(|world, _| world.conditions.bus = false);
        Ok(self.ported())
    }
    async fn impatient(&self) -> Arranged<Arc<dyn ServiceManager>> {
        self.host.change(|world, _| world.delays.job_limit = Duration::ZERO);
        Ok(self.ported())
    }
    async fn limit_reloads(&self) -> Arranged {
        let limit = Limit { burst: 3, interval: Duration::from_secs(600) };
        self.host.change(|world, _| world.conditions.reload_limit = Some(limit));
        Ok(())
    }
}
