//! The fake host as the world of every suite.

#[path = "images.rs"]
mod images;
#[path = "services.rs"]
mod services;
#[path = "units.rs"]
mod units;

use std::collections::BTreeSet;
use std::sync::Arc;

use adapter_fake::world::conditions::Disk;
use adapter_fake::world::files::{RenderOutcome, SECRET};
use adapter_fake::world::images::{Reach, image_id};
use adapter_fake::{FakeHost, Fault, Method, Mode, Port};
use async_trait::async_trait;
use companion_conformance::container_runtime::ContainerWorld;
use companion_conformance::desired_store::DesiredWorld;
use companion_conformance::hook_runner::HookWorld;
use companion_conformance::image_provider::ImageWorld;
use companion_conformance::leadership::LeadershipWorld;
use companion_conformance::{Arranged, HostWorld, Trait};
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::container::ContainerSpec;
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::revision::Fingerprint;
use companion_core::model::service::Verb;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{
    ContainerRuntime, DesiredStore, HookRunner, Leadership, PortErrorKind, ServiceManager,
    UnitStore,
};
use companion_tests::node::{numbered_unit, path, reference as image};

/// A fake host in the initial state of the suites. Clones are the same host.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) host: FakeHost,
    traits: BTreeSet<Trait>,
}

impl HostWorld for Fake {
    fn traits(&self) -> BTreeSet<Trait> {
        self.traits.clone()
    }
}

fn name(number: u8) -> CompanionName {
    CompanionName::new(format!("companion-{number}")).unwrap()
}

const FIRST_CONTEXT: &str = "/opt/companion";
const SECOND_CONTEXT: &str = "/srv/companion";
const PASSWORD: &str = "/var/lib/node/password";
const TEMPLATE: &str = "/usr/share/companion/nginx.conf.j2";

impl Fake {
    /// A host with all traits.
    pub(crate) fn new() -> Self {
        Self::on(FakeHost::default(), Trait::ALL.into())
    }

    /// `host`, with the traits that it has.
    pub(crate) fn on(host: FakeHost, traits: BTreeSet<Trait>) -> Self {
        host.change(|world, _| world.conditions.reports_changes = true);
        host.put_image(&image("localhost/page:latest"), "page");
        host.put_context(&path(SECOND_CONTEXT), "second");
        host.set_registry("registry.example:5000", Reach::Up);
        host.put_input(&path(TEMPLATE), "template");
        host.put_input(&path(PASSWORD), "one");
        Self { host, traits }
    }

    fn ported(&self) -> Arc<FakeHost> {
        Arc::new(self.host.clone())
    }

    fn elsewhere(&self) -> Arc<FakeHost> {
        Arc::new(self.host.as_actor(1))
    }

    async fn run(&self, unit: &UnitSpec) {
        UnitStore::write(&self.host, unit).await.unwrap();
        if self.traits.contains(&Trait::LoadsUnits) {
            self.host.reload().await.unwrap();
        }
        let job = self.host.begin(&unit.name, Verb::Start).await.unwrap();
        self.host.wait(job).await.unwrap();
    }
}

fn unit(number: u8) -> UnitSpec {
    numbered_unit(number, image_id(Fingerprint::of(b"page")))
}

fn hook() -> HookSpec {
    let password = TemplateValue::File(path(PASSWORD));
    HookSpec {
        program: HookProgram::Template {
            template: path(TEMPLATE),
            values: [("password".to_owned(), password)].into(),
        },
        output: path("/var/lib/companion/nginx.conf"),
    }
}

#[async_trait]
impl HookWorld for Fake {
    fn hooks(&self) -> Arc<dyn HookRunner> {
        self.ported()
    }
    fn another(&self) -> Arc<dyn HookRunner> {
        self.elsewhere()
    }
    fn hook(&self) -> HookSpec {
        hook()
    }
    fn secret(&self) -> String {
        SECRET.to_owned()
    }
    async fn rotate(&self) {
        self.host.rotate_credentials();
    }
    async fn remove_input(&self) {
        self.host.remove_input(&path(PASSWORD));
    }
    async fn break_template(&self) {
        self.host.break_hook(&hook().output, Some(RenderOutcome::Fails));
    }
    async fn delete_file(&self) {
        self.host.delete_config(&hook().output);
    }
    async fn unlink_output(&self) {
        self.host.unlink_config(&hook().output);
    }
    async fn edit_file(&self) {
        self.host.edit_config(&hook().output);
    }
    async fn expose_file(&self) {
        self.host.expose_config(&hook().output, 0o644);
    }
    async fn open_file(&self) {
        self.host.expose_config(&hook().output, 0o606);
    }
    async fn put_directory(&self) {
        self.host.put_directory_at_config(&hook().output);
    }
    async fn put_file(&self) {
        self.host.put_file_at_config(&hook().output);
    }
    async fn cut_file(&self) {
        self.host.edit_config(&hook().output);
    }
    async fn mode(&self) -> Option<u16> {
        self.host.world().files.rendered(&hook().output).map(|file| file.mode)
    }
    async fn digest_elsewhere(&self) -> Fingerprint {
        let elsewhere = Self::new().host;
        elsewhere.change(|world, _| world.files.key = 1);
        let rendered = elsewhere.render(&hook()).await.unwrap();
        elsewhere.commit(&hook(), rendered, &[]).await.unwrap().digest
    }
    async fn fill_disk(&self) -> Arranged {
        self.host.change(|world, _| world.conditions.disk = Disk::Full);
        Ok(())
    }
    async fn put_link(&self) -> Arranged {
        self.host.put_file_at_config(&hook().output);
        Ok(())
    }
}

#[async_trait]
impl ContainerWorld for Fake {
    fn containers(&self) -> Arc<dyn ContainerRuntime> {
        self.ported()
    }
    fn name(&self, number: u8) -> CompanionName {
        name(number)
    }
    async fn run_ours(&self, name: &CompanionName) {
        let unit = UnitSpec { name: name.clone(), ..unit(0) };
        self.run(&unit).await;
    }
    async fn leave_ours(&self, name: &CompanionName) {
        self.host.leave_container(name);
    }
    async fn run_unmanaged(&self, name: &CompanionName) {
        self.host.put_unmanaged_container(name);
    }
    async fn pause(&self, name: &CompanionName) {
        self.host.pause_container(name);
    }
    async fn make_unreadable(&self, name: &CompanionName) -> Arranged {
        let denied = Mode::Error(PortErrorKind::Denied);
        self.host.inject(Fault::always(Port::Containers, Method::Observe, denied).only(name));
        Ok(())
    }
    async fn without_host(&self) -> Arranged<Arc<dyn ContainerRuntime>> {
        self.host.change(|world, _| world.conditions.podman = false);
        Ok(self.ported())
    }
}

#[async_trait]
impl DesiredWorld for Fake {
    fn desired(&self) -> Arc<dyn DesiredStore> {
        self.ported()
    }
    fn another(&self) -> Arc<dyn DesiredStore> {
        self.elsewhere()
    }
    fn spec(&self, number: u8) -> CompanionSpec {
        CompanionSpec {
            name: name(number),
            description: format!("Page {number}"),
            image: ImageWorld::source(self),
            container: ContainerSpec::default(),
            hook: Some(hook()),
        }
    }
    async fn install(&self, spec: &CompanionSpec) {
        self.host.install(spec);
    }
    async fn remove(&self, name: &CompanionName) {
        self.host.remove(name);
    }
    async fn corrupt(&self) {
        let corrupt = adapter_fake::world::desired::Record::Corrupt;
        self.host.change(|world, _| world.record = corrupt);
    }
    async fn forbid(&self) -> Arranged {
        let forbidden = adapter_fake::world::desired::Record::Forbidden;
        self.host.change(|world, _| world.record = forbidden);
        Ok(())
    }
}

#[async_trait]
impl LeadershipWorld for Fake {
    fn leadership(&self) -> Arc<dyn Leadership> {
        self.ported()
    }
    fn another(&self) -> Arc<dyn Leadership> {
        self.elsewhere()
    }
}
