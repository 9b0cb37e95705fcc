//! Faults that cannot be repaired, or must not be: they are reported, and containers are left alone.

use std::fs;

use crate::daemon::Daemon;
use crate::guest::{
    Undo, archy, by_root, podman, property, root, systemctl, throughout, undo, until, write,
};
use crate::node::{
    ALL, BITCOIN, Companion, ELECTRS, LND, UNITS, USER_UNITS, all_ready, all_up, companion,
    containers, installed,
};

const UNMANAGED: &str =
    "[Container]\nImage=localhost/companion-base:latest\nContainerName=archy-lnd-ui\n";

#[test]
fn unmanaged_unit_with_the_same_name_is_kept_and_reported() {
    installed();
    companion(&["remove", "lnd"]).exits(0);
    write(&LND.unit(), UNMANAGED);
    companion(&["install", "lnd"]).exits(1);
    let (status, exit) = LND.status();
    assert_eq!(exit, Some(1), "{status}");
    assert_eq!(status["conditions"][0]["reason"], "conflict", "{status}");
    {
        let _daemon = Daemon::resyncing(1);
        throughout("it is left alone", 4, || LND.unit_text() == UNMANAGED);
        assert!(!LND.is_active());
    }
    companion(&["remove", "lnd"]);
    assert_eq!(LND.unit_text(), UNMANAGED, "a removal concerns only what is ours");
    assert!(ELECTRS.is_up());
}

/// As `podman generate systemd --new` writes it.
const OTHER_UNIT: &str = "[Service]
Environment=PODMAN_SYSTEMD_UNIT=%n
Restart=always
RestartSec=2
ExecStart=/usr/bin/podman run --cidfile=%t/%n.ctr-id --cgroups=no-conmon --rm --sdnotify=conmon --replace -d \
    --name archy-lnd-ui localhost/companion-base:latest
ExecStopPost=/usr/bin/podman rm -f --ignore --cidfile=%t/%n.ctr-id
Type=notify
NotifyAccess=all
";

#[test]
fn container_of_another_unit_is_named_and_not_replaced() {
    let other = "container-archy-lnd-ui.service";
    installed();
    let before = containers();
    let _daemon = Daemon::resyncing(1);
    let file = format!("{USER_UNITS}/{other}");
    write(&file, OTHER_UNIT);
    let _stopped = undo(format!(
        "archy systemctl --user stop {other}; rm -f {file}; archy systemctl --user daemon-reload"
    ));
    systemctl(&["daemon-reload"]).good();
    systemctl(&["start", other]).good();
    let theirs = LND.container();
    until("the other unit is named", 20, || {
        let (status, exit) = LND.status();
        let message = status["conditions"][0]["message"].as_str().unwrap_or_default();
        (exit == Some(1) && message.contains(other)).then_some(())
    });
    until("the restart is cancelled", 20, || {
        (LND.property("ActiveState") == "inactive").then_some(())
    });
    // Longer than the restart delay of both.
    throughout("its container runs on", 15, || LND.container() == theirs && !LND.is_active());
    assert_eq!(property(other, "NRestarts"), "0");
    systemctl(&["stop", other]).good();
    LND.comes_up(60);
    for one in [BITCOIN, ELECTRS] {
        assert_eq!(one.container().as_ref(), before.get(one.name));
    }
}

#[test]
fn lost_unwritable_units_stop_no_running_container() {
    installed();
    let before = containers();
    let _daemon = Daemon::resyncing(1);
    // An empty read-only directory replaces the real one.
    root(&["mount", "-t", "tmpfs", "-o", "ro,mode=0700,uid=1000,gid=1000", "tmpfs", UNITS]).good();
    until("it is reported", 30, || (LND.status().0["health"] == "degraded").then_some(()));
    throughout("all run on, and none is taken for ready", 5, || {
        let unready = companion(&["status"]);
        let is_ready = unready.stdout.lines().any(|line| line.contains(" ready "));
        !is_ready && unready.status == Some(1) && ALL.into_iter().all(Companion::is_up)
    });
    root(&["umount", UNITS]).good();
    all_ready(60);
    assert_eq!(containers(), before);
}

#[test]
fn full_disk_keeps_complete_units_and_running_containers() {
    installed();
    let before = containers();
    let text = ELECTRS.unit_text();
    let options = "size=32k,mode=0700,uid=1000,gid=1000";
    root(&["mount", "-t", "tmpfs", "-o", options, "tmpfs", UNITS]).good();
    write(&ELECTRS.unit(), &text);
    archy(&["sh", "-c", "cat /dev/zero >\"$1\"; true", "sh", &format!("{UNITS}/full")]).good();

    companion(&["reconcile"]).exits(1);
    assert_eq!(ELECTRS.unit_text(), text);
    let found = fs::read_dir(UNITS).unwrap().flatten();
    let mut found: Vec<_> = found.map(|entry| entry.file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, ["archy-electrs-ui.container", "full"]);
    assert_eq!(containers(), before);

    archy(&["rm", &format!("{UNITS}/full")]).good();
    companion(&["reconcile"]).exits(0);
    assert!(ALL.into_iter().all(Companion::is_up));
    // A new process knows the two lost units only by their own reports, and restarts their containers; see the
    // daemon's tests for one that has observed them.
    assert_eq!(ELECTRS.container().as_ref(), before.get(ELECTRS.name));
    root(&["umount", UNITS]).good();
}

/// An interface that leads nowhere, with a default route; removed with the guard.
fn lan() -> Undo {
    let removed = undo("ip link delete v0");
    by_root(
        "ip link add v0 type veth peer name v1
         ip address add 192.0.2.10/24 dev v0
         ip link set v0 up
         ip link set v1 up
         ip route add default via 192.0.2.1",
    );
    removed
}

/// Whether lnd answers at the address that its page asks. The stand-in listens on the host's loopback alone.
fn reaches_lnd() -> bool {
    let ask = ["exec", LND.name, "busybox", "wget", "-qO-", "http://169.254.1.2:8080/v1/state"];
    podman(&ask).stdout.contains("SERVER_ACTIVE")
}

#[test]
fn lnds_page_reaches_lnd_whenever_the_network_comes_and_goes() {
    installed();
    let before = LND.container();
    assert!(reaches_lnd(), "without an interface");
    {
        let _lan = lan();
        assert!(reaches_lnd(), "with one that came later");
        assert_eq!(LND.container(), before, "without a restart");
        systemctl(&["restart", &LND.service()]).good();
        LND.comes_up(30);
        assert!(reaches_lnd(), "started with one");
    }
    assert!(reaches_lnd(), "with one that left again");
    assert!(LND.is_up());
}

/// As tmpfiles or a cleaning script does it; the next start by Podman then loses what it knew of all containers.
#[test]
fn pages_outlive_a_cleaned_runtime_directory() {
    installed();
    let runs = || ALL.map(|one| (one.name, one.property("InvocationID")));
    archy(&["rm", "-rf", "/run/user/1000/containers", "/run/user/1000/libpod"]).good();
    systemctl(&["restart", &ELECTRS.service()]).good();
    let before = runs();
    {
        let _daemon = Daemon::resyncing(1);
        throughout("all pages answer", 5, || ALL.into_iter().all(Companion::is_up));
    }
    assert_eq!(runs(), before);
    // Podman knows the containers again once it started them.
    for one in ALL {
        systemctl(&["restart", &one.service()]).good();
    }
    all_up(30);
    companion(&["reconcile"]).exits(0);
}

/// Each line alone stops a companion that leaves the setting to the host, or removes some of its protection.
#[test]
fn container_defaults_of_the_host_do_not_reach_companions() {
    let defaults = [
        "read_only = true",
        "privileged = true",
        "userns = \"keep-id\"",
        "pidns = \"host\"",
        "ipcns = \"host\"",
        "env_host = true",
        "init = true\ninit_path = \"/nonexistent/init\"",
        "no_hosts = true",
        "umask = \"0777\"",
        "log_driver = \"none\"",
    ];
    installed();
    let file = "/home/archy/.config/containers/containers.conf";
    let _removed = undo(format!("rm -f {file}"));
    write(file, &format!("[containers]\n{}\n", defaults.join("\n")));
    for one in ALL {
        systemctl(&["restart", &one.service()]).good();
    }
    all_up(60);
    companion(&["reconcile"]).exits(0);
    for companion in ALL {
        let fields = "{{.HostConfig.Privileged}} {{.HostConfig.PidMode}} {{.HostConfig.IpcMode}}";
        let seen = podman(&["inspect", "--format", fields, companion.name]).good();
        assert_eq!(seen, "false private private", "{}", companion.name);
        let log = archy(&["journalctl", "--user", "-q", "-u", &companion.service()]).good();
        assert!(
            log.contains("nginx") || log.contains("worker"),
            "the log is in the journal: {log}"
        );
    }
}
