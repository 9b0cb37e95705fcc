//! One companion on the machine, and the commands that tamper with it.

use std::collections::BTreeSet;
use std::process::Command;

use adapter_systemd::{QuadletDir, Scope, SystemdManager, render_unit};
use companion_core::model::companion::CompanionName;
use companion_core::model::container::ContainerSpec;
use companion_core::model::image::ImageId;
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::service::{ServiceState, Verb};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{ServiceManager as _, UnitStore as _};

const IMAGE: &str = "localhost/companion-base:latest";

/// The service manager under test.
pub(crate) fn scope() -> Scope {
    if rustix::process::geteuid().is_root() { Scope::System } else { Scope::User }
}

/// One companion on the machine, after cleanup of an earlier run.
pub(crate) struct Guest {
    pub(crate) units: QuadletDir,
    pub(crate) services: SystemdManager,
    pub(crate) name: CompanionName,
}

impl Guest {
    pub(crate) async fn with(name: &str) -> Self {
        let version = output("podman", &["--version"]).parse().unwrap();
        let units = QuadletDir::new(scope(), version).unwrap();
        let services = SystemdManager::new(scope());
        let guest = Self { units, services, name: CompanionName::new(name).unwrap() };
        // A test that failed may leave its service behind.
        if guest.services.begin(&guest.name, Verb::Stop).await.is_ok() {
            guest.remove().await;
        }
        guest
    }

    pub(crate) fn unit(&self, restart_epoch: u32) -> UnitSpec {
        let mut unit = UnitSpec {
            name: self.name.clone(),
            description: format!("Archipelago companion UI: {}", self.name),
            image: image_id(IMAGE),
            container: ContainerSpec { restart_delay: Some(10), ..ContainerSpec::default() },
            config: None,
            revision: Revision {
                spec: Fingerprint::of(b"spec"),
                image: Fingerprint::of(b"image"),
                config: None,
                rendering: None,
                restart_epoch,
            },
        };
        // With the rendering that a write records.
        unit.revision = render_unit(&unit, scope(), self.units.podman_version()).unwrap().revision;
        unit
    }

    pub(crate) async fn state(&self) -> ServiceState {
        let asked = BTreeSet::from([self.name.clone()]);
        self.services.observe(&asked).await.remove(&self.name).unwrap().unwrap()
    }

    pub(crate) async fn carry_out(&self, verb: Verb) {
        let job = self.services.begin(&self.name, verb).await.unwrap();
        self.services.wait(job).await.unwrap();
    }

    pub(crate) async fn remove(&self) {
        self.carry_out(Verb::Stop).await;
        self.units.remove(&self.name).await.unwrap();
        self.services.reload().await.unwrap();
        self.services.reset_failed(&self.name).await.unwrap();
        assert_eq!(self.state().await, ServiceState::absent());
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn systemctl(arguments: &[&str]) {
    let whose = match scope() {
        Scope::User => "--user",
        Scope::System => "--system",
    };
    Command::new("systemctl").args([whose, "--quiet"]).args(arguments).status().unwrap();
}

/// Returns the image ID of this reference on the guest.
fn image_id(reference: &str) -> ImageId {
    let id = output("podman", &["image", "inspect", "--format", "{{.Id}}", reference]);
    ImageId::new(id.trim()).unwrap()
}
