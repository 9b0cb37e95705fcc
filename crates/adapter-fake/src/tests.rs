//! The fake host's own behaviour, where it is more than a port's contract.

use std::time::Duration;

use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::container::{AbsolutePath, BindMount, ContainerSpec};
use companion_core::model::desired::{DesiredCompanion, Generation};
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::image::{BuildSource, ImageRef, ImageSource, PullSource};
use companion_core::model::service::{ServiceState, Verb};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{
    DesiredStore, HookRunner, ImageProvider, PortResult, ServiceManager, UnitStore,
};

use crate::FakeHost;

mod boot;
mod faults;
mod mismatch;
mod rebase;
mod services;

/// A host that has all that the companion `ui` needs, and nothing of it yet.
struct Bench {
    host: FakeHost,
    spec: CompanionSpec,
}

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::new(text).unwrap()
}

impl Bench {
    fn new() -> Self {
        let output = path("/var/lib/ui/nginx.conf");
        let template = path("/usr/share/ui/nginx.conf.j2");
        let password = path("/var/lib/bitcoin/rpc-password");
        let mount = BindMount {
            source: output.clone(),
            target: path("/etc/nginx/conf.d/default.conf"),
            read_only: true,
        };
        let program = HookProgram::Template {
            template: template.clone(),
            values: [("password".to_owned(), TemplateValue::File(password.clone()))].into(),
        };
        let context = path("/opt/ui");
        let spec = CompanionSpec {
            name: CompanionName::new("ui").unwrap(),
            description: "A page".to_owned(),
            image: ImageSource {
                build: Some(BuildSource {
                    reference: ImageRef::new("localhost/ui:latest").unwrap(),
                    contexts: vec![path("/missing"), context.clone()],
                    arguments: [].into(),
                }),
                pull: Some(PullSource {
                    reference: ImageRef::new("registry.example:5000/team/ui:latest").unwrap(),
                    verify_tls: true,
                }),
            },
            container: ContainerSpec {
                mounts: vec![mount],
                restart_delay: Some(10),
                ..ContainerSpec::default()
            },
            hook: Some(HookSpec { program, output }),
        };
        let host = FakeHost::default();
        host.put_input(&template, "template");
        host.put_input(&password, "password");
        host.put_context(&context, "Dockerfile");
        Self { host, spec }
    }

    fn name(&self) -> &CompanionName {
        &self.spec.name
    }

    fn hook(&self) -> &HookSpec {
        self.spec.hook.as_ref().unwrap()
    }

    fn output(&self) -> &AbsolutePath {
        &self.hook().output
    }

    fn reference(&self) -> &ImageRef {
        &self.spec.image.build.as_ref().unwrap().reference
    }

    /// Renders, builds, and returns the unit that follows from both.
    async fn prepare(&self) -> UnitSpec {
        let rendered = self.host.render(self.hook()).await.unwrap();
        let config = self.host.commit(self.hook(), rendered, &[]).await.unwrap();
        let image = self.host.ensure(&self.spec.image).await.unwrap();
        let intent = DesiredCompanion::new(self.spec.clone(), Generation(1));
        let mut unit = intent.unit(&image.id, intent.revision(&image, Some(config)));
        let names = [(unit.name.clone(), Some(unit.clone()))].into();
        let files = UnitStore::observe(&self.host, &names).await;
        let rendering = files[&unit.name].as_ref().unwrap().rendering;
        unit.revision = unit.revision.with_rendering(rendering);
        unit
    }

    /// Does all that makes the companion run.
    async fn converge(&self) -> UnitSpec {
        let unit = self.prepare().await;
        self.host.write(&unit).await.unwrap();
        self.host.reload().await.unwrap();
        self.start().await.unwrap();
        unit
    }

    async fn carry_out(&self, verb: Verb) -> PortResult<()> {
        let job = self.host.begin(self.name(), verb).await.unwrap();
        self.host.wait(job).await
    }

    async fn start(&self) -> PortResult<()> {
        self.carry_out(Verb::Start).await
    }

    async fn restart(&self) -> PortResult<()> {
        self.carry_out(Verb::Restart).await
    }

    async fn stop(&self) -> PortResult<()> {
        self.carry_out(Verb::Stop).await
    }

    async fn state(&self) -> ServiceState {
        let names = [self.name().clone()].into();
        let mut states = ServiceManager::observe(&self.host, &names).await;
        states.remove(self.name()).unwrap().unwrap()
    }

    /// Lets virtual time pass.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

const SECOND: Duration = Duration::from_secs(1);
