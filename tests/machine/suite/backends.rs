//! A backend from a manifest, with a health check that fails, hangs and recovers.

use std::thread;
use std::time::Instant;

use crate::guest::{Undo, measured, podman, property, systemctl, throughout, undo, until, write};
use crate::node::{UNITS, clean, companion, extend_catalog, image_id, installed};

const NAME: &str = "stand-in-backend";
const SERVICE: &str = "stand-in-backend.service";
const IMAGE: &str = "localhost/companion-base:latest";

/// nginx, and a check that does what two files of the container say.
const MANIFEST: &str = "app:
  id: stand-in-backend
  container: { image: localhost/companion-base:latest, network: bridge }
  resources: { memory_limit: 64Mi }
  security: { readonly_root: false, capabilities: [CHOWN, DAC_OVERRIDE, NET_BIND_SERVICE, SETGID, SETUID] }
  volumes: [{ type: tmpfs, target: /state, options: [size=4m] }]
  health_check:
    type: cmd
    endpoint: if test -e /state/hangs; then sleep 1000; fi; test -e /state/healthy
    interval: 3s
    timeout: 2s
    retries: 3
  stop_grace_secs: 5
";

/// Writes the unit of the manifest as `companion render` prints it, with the image of this host, after `change`.
fn written(change: impl FnOnce(String) -> String) -> Undo {
    clean();
    write("/home/archy/backend.yml", MANIFEST);
    let unit = companion(&["render", "--manifest", "/home/archy/backend.yml"]).exits(0).stdout;
    let id = image_id(IMAGE).unwrap();
    let unit = unit.replace(&format!("Image={}", "0".repeat(64)), &format!("Image={id}"));
    let removed = undo(format!(
        "archy systemctl --user --quiet stop {SERVICE}
        rm -f {UNITS}/{NAME}.container /home/archy/backend.yml
        archy systemctl --user daemon-reload
        archy systemctl --user --quiet reset-failed"
    ));
    write(&format!("{UNITS}/{NAME}.container"), &change(unit));
    systemctl(&["daemon-reload"]).good();
    removed
}

fn inside(command: &str) {
    podman(&["exec", NAME, "sh", "-c", command]).good();
}

fn state() -> String {
    property(SERVICE, "ActiveState")
}

fn health() -> String {
    podman(&["inspect", "--format", "{{.State.Health.Status}}", NAME]).stdout.trim().to_owned()
}

/// Starts the backend without a wait, and waits for its container.
fn starting() {
    systemctl(&["start", "--no-block", SERVICE]).good();
    until("the container runs", 30, || podman(&["exec", NAME, "true"]).status.filter(|s| *s == 0));
}

/// A start limit of 5 s for units that say nothing of theirs; systemd's own is 90 s.
fn short_default() -> Undo {
    let place = "/home/archy/.config/systemd/user.conf.d/short.conf";
    let restored = undo(format!("rm -f {place}\narchy systemctl --user daemon-reexec"));
    write(place, "[Manager]\nDefaultTimeoutStartSec=5s\n");
    systemctl(&["daemon-reexec"]).good();
    assert_eq!(property("", "DefaultTimeoutStartUSec"), "5s");
    restored
}

#[test]
fn start_waits_for_health_beyond_the_default_limit() {
    let _written = written(|unit| unit);
    let _default = short_default();
    let started = Instant::now();
    starting();
    throughout("it waits for its health", 12, || state() == "activating");
    inside("touch /state/healthy");
    until("it is healthy", 15, || (state() == "active").then_some(()));
    measured("a start with a default limit of 5 s", started);
    assert_eq!(health(), "healthy");
}

#[test]
fn failing_and_hanging_checks_are_unhealthy_and_recover() {
    let _written = written(|unit| unit);
    starting();
    inside("touch /state/healthy");
    until("it is active", 15, || (state() == "active").then_some(()));
    let container = podman(&["inspect", "--format", "{{.Id}}", NAME]).good();
    for (break_it, fix_it) in
        [("rm /state/healthy", "touch /state/healthy"), ("touch /state/hangs", "rm /state/hangs")]
    {
        inside(break_it);
        until("it is unhealthy", 60, || (health() == "unhealthy").then_some(()));
        assert_eq!(state(), "active", "only people and monitoring notice");
        inside(fix_it);
        until("it is healthy again", 30, || (health() == "healthy").then_some(()));
    }
    assert_eq!(podman(&["inspect", "--format", "{{.Id}}", NAME]).good(), container);
    let started = Instant::now();
    systemctl(&["stop", SERVICE]).good();
    measured("stop of a backend", started);
    assert_eq!(property(SERVICE, "Result"), "success");
}

/// A companion with a health check, from the catalog: the planner waits, and reinstalls nothing meanwhile.
#[test]
fn install_waits_for_the_health_of_its_companion() {
    installed();
    extend_catalog(&format!(
        "
[[companion]]
name = \"{NAME}\"
apps = [\"stand-in\"]
image = {{ pull = \"{IMAGE}\" }}
[companion.container]
tmpfs = [{{ target = \"/state\" }}]
health = {{ probe = {{ command = \"test -e /state/healthy\" }}, interval = 3, timeout = 2 }}
"
    ));
    let ran = thread::scope(|scope| {
        let install = scope.spawn(|| companion(&["install", "stand-in"]));
        until("the container runs", 30, || {
            podman(&["exec", NAME, "true"]).status.filter(|status| *status == 0)
        });
        let id = podman(&["inspect", "--format", "{{.Id}}", NAME]).good();
        throughout("it waits", 8, || !install.is_finished() && state() == "activating");
        assert_eq!(podman(&["inspect", "--format", "{{.Id}}", NAME]).good(), id);
        inside("touch /state/healthy");
        install.join().unwrap()
    });
    ran.exits(0);
    assert_eq!(state(), "active");
    companion(&["remove", "stand-in"]).exits(0);
}
