//! The guest as seen by its operator: commands, directories, and a host without objects of an earlier case.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use adapter_systemd::{QuadletDir, Scope};
use companion_core::model::companion::CompanionName;
use companion_core::model::container::{ContainerSpec, Network};
use companion_core::model::image::ImageId;
use companion_core::model::unit::UnitSpec;
use companion_tests::node::numbered_unit;
use quadlet::PodmanVersion;

/// The existing image: nginx and busybox.
pub(crate) const BASE: &str = "localhost/companion-base:latest";

/// A program that runs until it is stopped and exits immediately then: the base image is stopped by SIGQUIT, as nginx
/// is.
pub(crate) const RUNS: &str = "trap 'exit 0' QUIT TERM; while :; do sleep 1 & wait $!; done";

/// The scope of its manager.
pub(crate) fn scope() -> Scope {
    if rustix::process::geteuid().is_root() { Scope::System } else { Scope::User }
}

/// The companion of `number`, with a unique name.
pub(crate) fn name(number: u8) -> CompanionName {
    CompanionName::new(format!("conform-{number}")).unwrap()
}

/// A unit whose program is the shell script `script`.
pub(crate) fn unit(number: u8, script: &str) -> UnitSpec {
    let words = ["/bin/sh", "-c", script];
    let unit = numbered_unit(number, base_image());
    UnitSpec {
        name: name(number),
        container: ContainerSpec {
            // Host networking starts faster.
            network: Network::Host,
            entrypoint: words.map(str::to_owned).to_vec(),
            ..unit.container
        },
        ..unit
    }
}

/// The id of the existing image.
pub(crate) fn base_image() -> ImageId {
    static ID: OnceLock<ImageId> = OnceLock::new();
    let asked = || podman(&["image", "inspect", "--format", "{{.Id}}", BASE]);
    ID.get_or_init(|| ImageId::new(&asked()).unwrap()).clone()
}

/// The units of this scope, rendered for the guest's Podman.
pub(crate) fn units() -> QuadletDir {
    let version: PodmanVersion = output("podman", &["--version"]).parse().unwrap();
    QuadletDir::new(scope(), version).unwrap()
}

/// Runs a command, which must succeed, and returns its output.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs `podman`, which must succeed.
pub(crate) fn podman(arguments: &[&str]) -> String {
    output("podman", arguments)
}

/// Runs `systemctl` of this scope, which must succeed.
pub(crate) fn systemctl(arguments: &[&str]) {
    let mut all = vec![flag(), "--quiet"];
    all.extend(arguments);
    output("systemctl", &all);
}

/// The same for a command that may fail; returns whether it succeeded.
pub(crate) fn try_systemctl(arguments: &[&str]) -> bool {
    let ran = Command::new("systemctl").args([flag(), "--quiet"]).args(arguments).output();
    ran.unwrap().status.success()
}

fn flag() -> &'static str {
    match scope() {
        Scope::User => "--user",
        Scope::System => "--system",
    }
}

/// The runtime directory, which ends with the login.
pub(crate) fn runtime_dir() -> PathBuf {
    match scope() {
        Scope::User => PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap()),
        Scope::System => PathBuf::from("/run"),
    }
}

/// The directory of the user's configuration.
pub(crate) fn config_dir() -> PathBuf {
    match scope() {
        Scope::User => PathBuf::from(std::env::var_os("HOME").unwrap()).join(".config"),
        Scope::System => PathBuf::from("/etc"),
    }
}

/// The unit directory of systemd, with drop-ins and masks.
pub(crate) fn systemd_dir() -> PathBuf {
    match scope() {
        Scope::User => config_dir().join("systemd/user"),
        Scope::System => config_dir().join("systemd/system"),
    }
}

/// An unmodified host; it is reset on drop.
pub(crate) struct InOrder;

impl InOrder {
    pub(crate) fn put() -> Self {
        clean();
        Self
    }
}

impl Drop for InOrder {
    fn drop(&mut self) {
        clean();
    }
}

/// Removes all objects of an earlier case: units, masks, shadows, drop-ins, services and containers.
fn clean() {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    assert_eq!(host.trim(), "companion-machine", "this is not the throwaway machine");
    const SCRIPT: &str = r#"
        systemctl $1 --quiet stop 'conform-*' 2>/dev/null
        chmod 0755 "$2" 2>/dev/null
        rm -rf "$2"/conform-* "$2"/strange.container "$3"/conform-* "$4"/containers/systemd/conform-*
        left=$(podman ps --all --format '{{.Names}}' | grep '^conform-')
        [ -z "$left" ] || podman rm --force --time 0 $left >/dev/null 2>&1
        systemctl $1 daemon-reload
        systemctl $1 --quiet stop 'conform-*' 2>/dev/null
        systemctl $1 --quiet reset-failed 'conform-*' 2>/dev/null
        true"#;
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let directories = [config_dir().join("containers/systemd"), systemd_dir(), runtime_dir()];
    let [quadlets, systemd, runtime] = directories.map(text);
    output("/bin/sh", &["-c", SCRIPT, "sh", flag(), &quadlets, &systemd, &runtime]);
}
