//! `SystemdManager` on the guest's systemd, with containers of the guest's Podman.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_systemd::{Limits, QuadletDir, SystemdManager, render_unit};
use async_trait::async_trait;
use companion_conformance::service_manager::ServiceWorld;
use companion_conformance::worlds::absolute;
use companion_conformance::{Arranged, HostWorld};
use companion_core::model::companion::CompanionName;
use companion_core::model::container::BindMount;
use companion_core::model::image::ImageId;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{ServiceManager, UnitStore as _};

use super::guest::{
    InOrder, RUNS, config_dir, podman, runtime_dir, scope, systemctl, systemd_dir, try_systemctl,
    unit, units,
};

/// A program that exits with `EXIT` unless a file marks it as fixed.
const ENDS: &str =
    "[ -e /flags/repaired ] || { echo about to end; echo ends with EXIT; exit EXIT; }; ";
/// A program that ignores the stop signal.
const STUBBORN: &str = "trap '' QUIT TERM; while :; do sleep 1; done";
/// The interval of the reload limit, in seconds.
const RELOAD_INTERVAL: u64 = 20;

pub(crate) struct Services {
    services: Arc<SystemdManager>,
    units: QuadletDir,
    flags: tempfile::TempDir,
    in_order: Option<InOrder>,
}

impl Services {
    pub(crate) async fn new() -> Self {
        unlimit_reloads();
        let in_order = InOrder::put();
        let mut services = Self::here();
        services.in_order = Some(in_order);
        services
    }

    /// The services of a host that the caller resets.
    pub(crate) fn here() -> Self {
        fs::create_dir_all(units().path()).unwrap();
        Self {
            services: Arc::new(SystemdManager::new(scope())),
            units: units(),
            flags: tempfile::tempdir().unwrap(),
            in_order: None,
        }
    }

    fn file(&self, name: &CompanionName) -> PathBuf {
        self.units.path().join(format!("{name}.container"))
    }

    /// The text of a valid unit without the ownership label.
    fn unmanaged(&self, name: &CompanionName) -> String {
        let unit = UnitSpec { name: name.clone(), ..unit(0, RUNS) };
        let text = render_unit(&unit, scope(), self.units.podman_version()).unwrap().text;
        let before_mark = text.split("[X-Companion]").next().unwrap();
        let lines = before_mark.lines().filter(|line| !line.contains("OMPANION_REVISION"));
        let lines = lines.filter(|line| !line.contains("companion."));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        if self.in_order.is_some() {
            unlimit_reloads();
        }
    }
}

fn reload_limit() -> PathBuf {
    let kind = if scope() == adapter_systemd::Scope::User { "user" } else { "system" };
    config_dir().join(format!("systemd/{kind}.conf.d/conform.conf"))
}

/// Removes the reload limit, if there is one; a restart of the manager counts as a reload and may have to wait for
/// it.
fn unlimit_reloads() {
    if fs::remove_file(reload_limit()).is_err() {
        return;
    }
    let allowed = Instant::now() + Duration::from_secs(3 * RELOAD_INTERVAL);
    while !try_systemctl(&["daemon-reexec"]) {
        assert!(Instant::now() < allowed, "the manager does not execute itself again");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Adds a drop-in to the unit of `name`.
fn add_setting(name: &CompanionName, file: &str, text: &str) {
    let directory = systemd_dir().join(format!("{name}.service.d"));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(file), text).unwrap();
}

/// Waits, while there is a container, until its first process catches or ignores SIGQUIT: without a handler, the
/// first process of a namespace does not receive it (pid_namespaces(7)).
fn await_handlers(name: &CompanionName) {
    let inspect = ["inspect", "--format", "{{.State.Pid}}", name.as_str()];
    for _ in 0..500 {
        let inspected = Command::new("podman").args(inspect).output().unwrap();
        let pid = String::from_utf8_lossy(&inspected.stdout).trim().to_owned();
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return };
        let mask = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
        };
        if (mask("SigCgt:") | mask("SigIgn:")) & (1 << 2) != 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the program of `{name}` does not get ready");
}

fn service(name: &CompanionName) -> String {
    format!("{name}.service")
}

fn shadow(name: &CompanionName) -> PathBuf {
    runtime_dir().join(format!("containers/systemd/{name}.container"))
}

impl HostWorld for Services {}

#[async_trait]
impl ServiceWorld for Services {
    fn services(&self) -> Arc<dyn ServiceManager> {
        Arc::clone(&self.services) as _
    }
    fn another(&self) -> Arc<dyn ServiceManager> {
        Arc::new(SystemdManager::new(scope()))
    }
    fn unit(&self, number: u8) -> UnitSpec {
        unit(number, RUNS)
    }
    async fn ending_unit(&self, exit: u8) -> UnitSpec {
        let script = ENDS.replace("EXIT", &exit.to_string()) + RUNS;
        let mut unit = unit(9, &script);
        unit.container.restart_delay = None;
        // A slow host must also reach the limit of 5 starts.
        add_setting(&unit.name, "limit.conf", "[Unit]\nStartLimitIntervalSec=600\n");
        let source = absolute(self.flags.path());
        let target = absolute("/flags".as_ref());
        unit.container.mounts = vec![BindMount { source, target, read_only: true }];
        unit
    }
    fn stubborn_unit(&self) -> UnitSpec {
        let mut unit = unit(8, STUBBORN);
        unit.container.stop_timeout = Some(2);
        unit
    }
    async fn repair(&self, _name: &CompanionName) {
        fs::write(self.flags.path().join("repaired"), "").unwrap();
    }
    fn absent_image(&self) -> ImageId {
        ImageId::new(&"0".repeat(64)).unwrap()
    }
    async fn write(&self, unit: &UnitSpec) {
        self.units.write(unit).await.unwrap();
    }
    async fn write_refused(&self, name: &CompanionName) {
        fs::write(self.file(name), "[Container]\nImage=localhost/x\nNoSuchKey=1\n").unwrap();
    }
    async fn write_unmanaged(&self, name: &CompanionName) {
        fs::write(self.file(name), self.unmanaged(name)).unwrap();
    }
    async fn delete(&self, name: &CompanionName) {
        fs::remove_file(self.file(name)).unwrap();
    }
    async fn hold(&self, name: &CompanionName) -> Arranged {
        systemctl(&["mask", &service(name)]);
        Ok(())
    }
    async fn release(&self, name: &CompanionName) -> Arranged {
        systemctl(&["unmask", &service(name)]);
        Ok(())
    }
    async fn shadow(&self, name: &CompanionName) -> Arranged {
        fs::create_dir_all(shadow(name).parent().unwrap()).unwrap();
        fs::write(shadow(name), self.unmanaged(name)).unwrap();
        systemctl(&["daemon-reload"]);
        Ok(())
    }
    async fn unshadow(&self, name: &CompanionName) -> Arranged {
        fs::remove_file(shadow(name)).unwrap();
        systemctl(&["daemon-reload"]);
        Ok(())
    }
    async fn start_unmanaged(&self, name: &CompanionName) -> Arranged {
        systemctl(&["start", &service(name)]);
        Ok(())
    }
    async fn ready(&self, name: &CompanionName) {
        await_handlers(name);
    }
    async fn kill(&self, name: &CompanionName) {
        podman(&["kill", "--signal", "KILL", name.as_str()]);
    }
    async fn freeze(&self, name: &CompanionName) {
        podman(&["pause", name.as_str()]);
    }
    async fn thaw(&self, name: &CompanionName) {
        podman(&["unpause", name.as_str()]);
    }
    async fn drop_in(&self, name: &CompanionName) -> Arranged {
        add_setting(name, "operator.conf", "[Service]\nEnvironment=OPERATOR=1\n");
        Ok(())
    }
    async fn put_broken_unmanaged_file(&self) -> Arranged {
        fs::write(self.units.path().join("strange.container"), "[Container]\nno assignment\n")
            .unwrap();
        Ok(())
    }
    async fn remove_broken_unmanaged_file(&self) -> Arranged {
        fs::remove_file(self.units.path().join("strange.container")).unwrap();
        Ok(())
    }
    async fn without_generator(&self) -> Arranged<Arc<dyn ServiceManager>> {
        let units = units().with_generator("/nowhere/podman-user-generator");
        Ok(Arc::new(SystemdManager::new(scope()).with_units(units)))
    }
    async fn impatient(&self) -> Arranged<Arc<dyn ServiceManager>> {
        let limits = Limits { start: Duration::ZERO, ..Limits::default() };
        Ok(Arc::new(SystemdManager::with_limits(scope(), limits)))
    }
    async fn limit_reloads(&self) -> Arranged {
        fs::create_dir_all(reload_limit().parent().unwrap()).unwrap();
        let text =
            format!("[Manager]\nReloadLimitIntervalSec={RELOAD_INTERVAL}\nReloadLimitBurst=3\n");
        fs::write(reload_limit(), text).unwrap();
        systemctl(&["daemon-reexec"]);
        Ok(())
    }
}
