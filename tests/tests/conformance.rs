//! The conformance suites on the fake host, each case with a paused clock.

#![expect(clippy::unwrap_used, reason = "a world that cannot be arranged fails its case")]

use std::sync::Arc;

use adapter_fake::FakeHost;
use adapter_fake::world::files::{ConfigFile, Fate, SECRET};
use adapter_fake::world::images::{BuildFate, Reach};
use adapter_fake::world::units::location;
use async_trait::async_trait;
use companion_conformance::container_facts::ContainerWorld;
use companion_conformance::desired_store::DesiredWorld;
use companion_conformance::hook_runner::HookWorld;
use companion_conformance::image_provider::ImageWorld;
use companion_conformance::service_manager::ServiceWorld;
use companion_conformance::unit_store::UnitStoreWorld;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::container::{AbsolutePath, ContainerSpec};
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::image::{BuildSource, ImageRef, ImageSource, PullSource};
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{
    ContainerFacts, DesiredStore, HookRunner, ImageProvider, ServiceManager, UnitStore,
};

/// Makes a test of each case of a suite.
macro_rules! on_the_fake {
    ($suite:ident: $($case:ident,)*) => {
        mod $suite {
            use companion_conformance::{$suite, run};

            $(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    run($suite::CASES, stringify!($case), &super::Fake::new()).await;
                }
            )*
        }
    };
}

companion_conformance::unit_store_cases!(on_the_fake);
companion_conformance::service_manager_cases!(on_the_fake);
companion_conformance::image_provider_cases!(on_the_fake);
companion_conformance::hook_runner_cases!(on_the_fake);
companion_conformance::container_facts_cases!(on_the_fake);
companion_conformance::desired_store_cases!(on_the_fake);

/// A fake host that has what the suites begin with.
struct Fake {
    host: FakeHost,
}

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::new(text).unwrap()
}

fn name(number: u8) -> CompanionName {
    CompanionName::new(format!("companion-{number}")).unwrap()
}

fn image(text: &str) -> ImageRef {
    ImageRef::new(text).unwrap()
}

const FIRST_CONTEXT: &str = "/opt/companion";
const SECOND_CONTEXT: &str = "/srv/companion";
const PASSWORD: &str = "/var/lib/node/password";
const TEMPLATE: &str = "/usr/share/companion/nginx.conf.j2";

impl Fake {
    fn new() -> Self {
        let host = FakeHost::default();
        host.put_image(&image("localhost/page:latest"), "page");
        host.put_context(&path(SECOND_CONTEXT), "second");
        host.set_registry("registry.example:5000", Reach::Up);
        host.put_input(&path(TEMPLATE), "template");
        host.put_input(&path(PASSWORD), "one");
        Self { host }
    }

    fn ported(&self) -> Arc<FakeHost> {
        Arc::new(self.host.clone())
    }

    fn elsewhere(&self) -> Arc<FakeHost> {
        Arc::new(self.host.as_actor(1))
    }
}

fn unit(number: u8) -> UnitSpec {
    UnitSpec {
        name: name(number),
        description: format!("Page {number}"),
        image: image("localhost/page:latest"),
        container: ContainerSpec { restart_delay: Some(1), ..ContainerSpec::default() },
        revision: Revision {
            spec: Fingerprint::of(&[number]),
            image: Fingerprint::of(b"page"),
            config: None,
            incarnation: 0,
        },
    }
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
    async fn put_foreign(&self, name: &CompanionName) {
        self.host.put_foreign_unit(name);
    }
    async fn put_garbage(&self, name: &CompanionName) {
        self.host.garble_unit(name);
    }
    async fn put_directory(&self, name: &CompanionName) {
        self.host.put_directory_at_unit(name);
    }
    async fn edit(&self, name: &CompanionName) {
        self.host.edit_unit(name);
    }
    async fn truncate(&self, name: &CompanionName) {
        self.host.truncate_unit(name);
    }
    async fn expose(&self, name: &CompanionName) {
        self.host.expose_unit(name);
    }
    async fn forbid(&self, name: &CompanionName) {
        self.host.forbid_unit(name);
    }
    async fn refuse(&self, name: &CompanionName) {
        self.host.refuse_unit(name, true);
    }
    async fn trace(&self, name: &CompanionName) -> String {
        let world = self.host.world();
        format!("{:?}", world.slot(name).map(|slot| &slot.file))
    }
}

#[async_trait]
impl ServiceWorld for Fake {
    fn services(&self) -> Arc<dyn ServiceManager> {
        self.ported()
    }
    fn unit(&self, number: u8) -> UnitSpec {
        unit(number)
    }
    async fn crashing_unit(&self) -> UnitSpec {
        let mut unit = unit(9);
        unit.container.restart_delay = None;
        self.host.crash_loop(&unit.name, true);
        unit
    }
    async fn mend(&self, name: &CompanionName) {
        self.host.crash_loop(name, false);
    }
    fn absent_image(&self) -> ImageRef {
        image("localhost/absent:latest")
    }
    async fn write(&self, unit: &UnitSpec) {
        UnitStore::write(&self.host, unit).await.unwrap();
    }
    async fn write_refused(&self, name: &CompanionName) {
        self.host.garble_unit(name);
    }
    async fn delete(&self, name: &CompanionName) {
        self.host.delete_unit(name);
    }
    fn location(&self, name: &CompanionName) -> String {
        location(name)
    }
    async fn mask(&self, name: &CompanionName) {
        self.host.mask(name);
    }
    async fn shadow(&self, name: &CompanionName) {
        self.host.shadow(name);
    }
    async fn kill(&self, name: &CompanionName) {
        self.host.kill_container(name);
    }
    async fn pause(&self, name: &CompanionName) {
        self.host.pause_container(name);
    }
}

#[async_trait]
impl ImageWorld for Fake {
    fn images(&self) -> Arc<dyn ImageProvider> {
        self.ported()
    }
    fn name(&self) -> CompanionName {
        name(0)
    }
    fn source(&self) -> ImageSource {
        ImageSource {
            build: Some(BuildSource {
                reference: image("localhost/companion:latest"),
                contexts: vec![path(FIRST_CONTEXT), path(SECOND_CONTEXT)],
                arguments: [].into(),
            }),
            pull: Some(PullSource {
                reference: image("registry.example:5000/team/companion:latest"),
                verify_tls: true,
            }),
        }
    }
    async fn change_context(&self) {
        self.host.change_context(&path(SECOND_CONTEXT));
    }
    async fn break_build(&self) {
        self.host.break_build(&path(SECOND_CONTEXT), BuildFate::Fails);
    }
    async fn put_first_context(&self) {
        self.host.put_context(&path(FIRST_CONTEXT), "first");
    }
    async fn remove_contexts(&self) {
        self.host.remove_context(&path(FIRST_CONTEXT));
        self.host.remove_context(&path(SECOND_CONTEXT));
    }
    async fn publish(&self, contents: &str) {
        let reference = self.source().pull.unwrap().reference;
        self.host.publish(&reference, contents);
    }
    async fn registry_down(&self) {
        self.host.registry_down("registry.example:5000");
    }
    async fn distrust_registry(&self) {
        self.host.set_registry("registry.example:5000", Reach::Untrusted);
    }
    async fn contacts(&self) -> u32 {
        self.host.counts().network
    }
    async fn remove_images(&self) {
        let source = self.source();
        self.host.remove_image(&source.build.unwrap().reference);
        self.host.remove_image(&source.pull.unwrap().reference);
    }
    async fn leave_strangers_image(&self) {
        self.host.leave_image("somebody's");
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
        self.host.break_hook(&hook().output, Some(Fate::Fails));
    }
    async fn delete_output(&self) {
        self.host.delete_config(&hook().output);
    }
    async fn edit_output(&self) {
        self.host.edit_config(&hook().output);
    }
    async fn expose_output(&self) {
        self.host.expose_config(&hook().output, 0o644);
    }
    async fn put_directory(&self) {
        self.host.put_directory_at_config(&hook().output);
    }
    async fn mode(&self) -> Option<u16> {
        let world = self.host.world();
        match world.files.rendered(&hook().output)? {
            ConfigFile::Regular { mode, .. } => Some(*mode),
            ConfigFile::Directory => None,
        }
    }
    async fn digest_elsewhere(&self) -> Fingerprint {
        let elsewhere = Self::new().host;
        elsewhere.change(|world, _| world.files.key = 1);
        let rendered = elsewhere.render(&hook()).await.unwrap();
        elsewhere.commit(&hook(), rendered).await.unwrap()
    }
}

#[async_trait]
impl ContainerWorld for Fake {
    fn containers(&self) -> Arc<dyn ContainerFacts> {
        self.ported()
    }
    fn name(&self, number: u8) -> CompanionName {
        name(number)
    }
    async fn run_ours(&self, name: &CompanionName) {
        let unit = UnitSpec { name: name.clone(), ..unit(0) };
        UnitStore::write(&self.host, &unit).await.unwrap();
        self.host.reload().await.unwrap();
        let job = self.host.start(name).await.unwrap();
        self.host.wait(job).await.unwrap();
    }
    async fn leave_ours(&self, name: &CompanionName) {
        self.host.leave_container(name);
    }
    async fn run_foreign(&self, name: &CompanionName) {
        self.host.put_foreign_container(name);
    }
    async fn pause(&self, name: &CompanionName) {
        self.host.pause_container(name);
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
            image: self.source(),
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
}
