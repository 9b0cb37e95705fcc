//! An environment that redirects podman, Quadlet and the loader.

use std::path::Path;

use crate::daemon::Daemon;
use crate::guest::{archy, podman, systemctl, write};
use crate::node::{ALL, COMPANION, Companion, LND, installed};

/// Each would change which program runs, or where, if it reached a child.
const POISON: [&str; 16] = [
    "CONTAINERS_CONF=/home/archy/poison/containers.conf",
    "CONTAINERS_CONF_OVERRIDE=/home/archy/poison/containers.conf",
    "CONTAINERS_STORAGE_CONF=/home/archy/poison/storage.conf",
    "CONTAINERS_REGISTRIES_CONF=/home/archy/poison/registries.conf",
    "CONTAINER_HOST=tcp://127.0.0.1:1",
    "CONTAINER_CONNECTION=poison",
    "DOCKER_HOST=tcp://127.0.0.1:1",
    "STORAGE_DRIVER=poison",
    "STORAGE_OPTS=poison",
    "BUILDAH_ISOLATION=poison",
    "QUADLET_UNIT_DIRS=/home/archy/poison/units",
    "PODMAN=/home/archy/poison/podman",
    "LD_PRELOAD=/home/archy/poison/preload.so",
    "LD_LIBRARY_PATH=/home/archy/poison",
    "GODEBUG=poison=1",
    "NOTIFY_SOCKET=/home/archy/poison/socket",
];

const EVIL: &str =
    "[Container]\nImage=localhost/companion-base:latest\n[Install]\nWantedBy=default.target\n";

fn poisoned() {
    let conf = "[engine]\nruntime=\"/home/archy/poison/runtime\"\n[containers]\nvolumes=[\"/home/archy:/stolen\"]\n";
    write("/home/archy/poison/containers.conf", conf);
    write(
        "/home/archy/poison/storage.conf",
        "[storage]\ndriver=\"vfs\"\ngraphroot=\"/home/archy/poison/store\"\n",
    );
    write("/home/archy/poison/units/evil.container", EVIL);
    write("/home/archy/poison/units/archy-lnd-ui.container", EVIL);
    for program in ["podman", "runtime", "newuidmap"] {
        let path = format!("/home/archy/poison/{program}");
        write(&path, "#!/bin/sh\n: >/home/archy/poison/ran\nexit 1\n");
        archy(&["chmod", "755", &path]).good();
    }
}

fn fault() {
    archy(&["rm", &LND.unit()]).good();
    podman(&["rm", "--force", "--time=0", LND.name]).good();
    podman(&["image", "rm", "--force", "localhost/lnd-ui:latest"]).good();
}

fn untouched() {
    for path in ["ran", "store", "socket"] {
        assert!(!Path::new("/home/archy/poison").join(path).exists(), "{path}");
    }
    assert_ne!(systemctl(&["cat", "evil.service"]).status, Some(0));
    let mounts = podman(&["inspect", "--format", "{{.Mounts}}", LND.name]).good();
    assert!(!mounts.contains("stolen"), "{mounts}");
    assert!(ALL.into_iter().all(Companion::is_up));
}

#[test]
fn hostile_environment_reaches_no_child_process() {
    installed();
    poisoned();
    fault();
    // The loader reports it once, for the command itself, and would for each child.
    let words = [&["env"][..], &POISON, &[COMPANION, "-vvv", "reconcile"]].concat();
    let ran = archy(&words).exits(0);
    let preloaded = ran.stderr.matches("preload.so").count();
    assert!(preloaded <= 1, "{preloaded} times: {ran}");
    untouched();

    // systemd sets its own notification socket.
    let lines = POISON.iter().filter(|line| !line.starts_with("NOTIFY_SOCKET"));
    let lines: String = lines.map(|line| format!("Environment={line}\n")).collect();
    {
        let _daemon = Daemon::with(1, &lines);
        fault();
        LND.comes_up(120);
    }
    untouched();
    archy(&["rm", "-rf", "/home/archy/poison"]).good();
}
