//! One companion on the machine, and the commands that tamper with it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use adapter_systemd::{QuadletDir, Scope, SystemdManager, render_unit};
use companion_core::model::companion::CompanionName;
use companion_core::model::container::ContainerSpec;
use companion_core::model::image::ImageId;
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::service::{ServiceState, Verb};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{PortResult, ServiceManager as _, UnitStore as _};

/// An unmanaged file in the same directory.
pub(crate) const UNMANAGED: &str = "strange.container";

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
        // A test that failed may leave anything behind.
        systemctl(&["unmask", &format!("{name}.service")]);
        for left in [guest.path(), guest.units.path().join(UNMANAGED)] {
            let _nothing_there = std::fs::remove_file(left);
        }
        if let Ok(job) = guest.services.begin(&guest.name, Verb::Stop).await {
            guest.services.wait(job).await.unwrap();
        }
        guest.services.reload().await.unwrap();
        guest.services.reset_failed(&guest.name).await.unwrap();
        guest
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.units.path().join(format!("{}.container", self.name))
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

    pub(crate) async fn carry_out(&self, verb: Verb) -> PortResult<()> {
        let job = self.services.begin(&self.name, verb).await.unwrap();
        self.services.wait(job).await
    }

    pub(crate) async fn start(&self) {
        self.carry_out(Verb::Start).await.unwrap();
    }

    pub(crate) async fn stop(&self) {
        self.carry_out(Verb::Stop).await.unwrap();
    }

    /// Writes, loads and starts `unit`.
    pub(crate) async fn run(&self, unit: &UnitSpec) {
        self.units.write(unit).await.unwrap();
        self.services.reload().await.unwrap();
        self.start().await;
    }

    /// Returns a variable in the environment of the main process, from systemctl and procfs.
    pub(crate) fn environment(&self, variable: &str) -> Option<String> {
        let service = format!("{}.service", self.name);
        let whose = match scope() {
            Scope::User => "--user",
            Scope::System => "--system",
        };
        let pid = output("systemctl", &[whose, "show", "-P", "MainPID", &service]);
        let environ = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        let prefix = format!("{variable}=");
        environ.split('\0').find_map(|entry| entry.strip_prefix(&prefix)).map(str::to_owned)
    }

    /// Polls until the state matches, for at most half a minute.
    pub(crate) async fn until(&self, fits: impl Fn(&ServiceState) -> bool) -> ServiceState {
        for _ in 0..150 {
            let state = self.state().await;
            if fits(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("it stays {:?}", self.state().await);
    }

    pub(crate) async fn remove(&self) {
        self.stop().await;
        self.units.remove(&self.name).await.unwrap();
        self.services.reload().await.unwrap();
        self.services.reset_failed(&self.name).await.unwrap();
        assert_eq!(self.state().await, ServiceState::absent());
    }
}

pub(crate) fn runtime_dir() -> PathBuf {
    match scope() {
        Scope::User => PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap()),
        Scope::System => PathBuf::from("/run"),
    }
}

pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
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

pub(crate) fn podman(arguments: &[&str]) {
    let status = Command::new("podman").args(arguments).status().unwrap();
    assert!(status.success(), "podman {arguments:?}");
}

/// Returns the image ID of this reference on the guest.
fn image_id(reference: &str) -> ImageId {
    let id = output("podman", &["image", "inspect", "--format", "{{.Id}}", reference]);
    ImageId::new(id.trim()).unwrap()
}
