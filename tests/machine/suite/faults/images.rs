//! Faults of builds and pulls that this host decides: they hang, or there is no space.

use super::TIMEOUT;
use super::probe::{PROBE, Probe};
use super::witness::Witness;
use crate::daemon::Daemon;
use crate::guest::{by_root, measured, podman, root, undo, until};
use crate::node::{ELECTRS, LND, all_ready, companion, edit_dockerfile, restore_context};

/// The process of a `RUN` that never ends.
fn hanging_build() -> String {
    root(&["pgrep", "-f", "[s]leep 4713"]).stdout
}

/// Adds a hanging step to the build of ELECTRS, and waits until it hangs.
fn hang_a_build() {
    edit_dockerfile(ELECTRS, |text| format!("{text}RUN sleep 4713\n"));
    until("the build hangs", 60, || (!hanging_build().is_empty()).then_some(()));
}

/// Remains of an interrupted build: working containers of buildah.
fn working_containers() -> String {
    podman(&["ps", "--all", "--external", "--filter", "status=unknown", "--format", "{{.Names}}"])
        .good()
}

fn no_working_container_is_left() {
    until("no working container is left", 60, || working_containers().is_empty().then_some(()));
}

/// Row 53: a hanging build blocks no other companion, and stops when its app is removed.
#[test]
fn hanging_build_blocks_no_other_companion_and_stops_on_removal() {
    let witness = Witness::excluding(&[LND, ELECTRS]);
    let _daemon = Daemon::resyncing(1);
    let run = ELECTRS.run();
    hang_a_build();
    podman(&["kill", "--signal=KILL", LND.name]).good();
    let started = LND.loses_its_unit();
    LND.comes_up(60);
    measured("another back while a build hangs", started);
    assert_eq!(ELECTRS.run(), run, "it runs on with what it has");

    companion(&["remove", "electrumx"]).exits(0);
    until("the build has ended", 60, || hanging_build().is_empty().then_some(()));
    no_working_container_is_left();
    restore_context(ELECTRS);
    companion(&["install", "electrumx"]).exits(0);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}

/// Row 53: a hanging build stops with its daemon, however that ends, and the next daemon starts it again.
#[test]
fn hanging_build_stops_with_its_daemon() {
    let witness = Witness::excluding(&[]);
    let daemon = Daemon::resyncing(1);
    hang_a_build();
    let started = std::time::Instant::now();
    drop(daemon);
    measured("stop of the daemon while a build hangs", started);
    assert_eq!((hanging_build(), working_containers()), (String::new(), String::new()));

    let daemon = Daemon::resyncing(1);
    until("the next one hangs", 60, || (!hanging_build().is_empty()).then_some(()));
    let old = hanging_build();
    daemon.crash();
    // The build of the killed daemon must not survive alongside that of the next.
    until("the old build has ended", 90, || {
        let now = hanging_build();
        old.lines().all(|pid| !now.lines().any(|other| other == pid)).then_some(())
    });
    restore_context(ELECTRS);
    root(&["pkill", "-KILL", "-f", "[s]leep 4713"]);
    all_ready(TIMEOUT);
    drop(daemon);
    no_working_container_is_left();
    witness.nothing_else_happened();
}

/// Row 59: a pull without disk space fails, is reported, and retried until there is space.
#[test]
fn pull_without_disk_space_is_reported_and_retried() {
    let witness = Witness::excluding(&[]);
    let reference = "127.0.0.1:5000/fault/page:latest";
    podman(&["push", "--tls-verify=false", &LND.tag(), reference]).good();
    podman(&["image", "rm", "--force", "--ignore", reference]);
    let images = podman(&["images", "--quiet", "--no-trunc"]).good();
    // Pulls use this directory (containers-storage's `image_copy_tmp_dir`).
    let freed = undo("umount --lazy /var/tmp");
    by_root(
        "mount -t tmpfs -o size=16k,mode=1777 tmpfs /var/tmp; head -c 16k /dev/zero >/var/tmp/full || true",
    );
    let probe = Probe::pulled(reference);
    let ran = probe.install().exits(1);
    assert!(ran.words().contains("space"), "{ran}");
    assert_eq!(podman(&["images", "--quiet", "--no-trunc"]).good(), images, "none was pruned");
    drop(freed);
    probe.install().exits(0);
    assert!(PROBE.is_up());
    drop(probe);
    podman(&["image", "rm", "--force", reference]).good();
    witness.nothing_else_happened();
}
