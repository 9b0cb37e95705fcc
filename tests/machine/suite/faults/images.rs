//! Faults of images and of builds.

use std::fs;
use std::time::Instant;

use super::probe::{PROBE, Probe};
use super::witness::{Witness, run_of};
use super::{all_well, logged_by};
use crate::daemon::Daemon;
use crate::guest::{
    archy_reading, by_root, measured, podman, root, systemctl, throughout, undo, until,
};
use crate::images::asked_the_registry;
use crate::node::{CONTEXTS, Companion, ELECTRS, LND, companion, edit_context};

/// Row 51: a missing image is built without a registry.
#[test]
fn missing_image_is_built_without_a_registry() {
    let witness = Witness::beside(&[ELECTRS]);
    let asked = asked_the_registry(|| {
        systemctl(&["stop", &ELECTRS.service()]).good();
        podman(&["image", "rm", "--force", "localhost/electrs-ui:latest"]).good();
        let _daemon = Daemon::resyncing(1);
        until("it is up again", 60, || ELECTRS.is_up().then_some(()));
        all_well();
    });
    assert!(!asked);
    witness.nothing_else_happened();
}

/// Row 60: an image that is untagged under a running container is provided again, without a restart.
#[test]
fn untagged_image_of_a_running_container_causes_no_restart() {
    let witness = Witness::beside(&[]);
    let _daemon = Daemon::resyncing(1);
    for one in [LND, ELECTRS] {
        let name = format!("localhost/{}:latest", one.base);
        podman(&["untag", &name]).good();
        until("the image has its name again", 60, || {
            podman(&["image", "exists", &name]).status.filter(|status| *status == 0)
        });
    }
    all_well();
    witness.nothing_else_happened();
}

/// Row 60: a forced removal removes its container too; both are restored.
#[test]
fn forcibly_removed_image_and_its_container_are_restored() {
    let witness = Witness::beside(&[LND]);
    let _daemon = Daemon::resyncing(1);
    let old = LND.container();
    podman(&["image", "rm", "--force", "localhost/lnd-ui:latest"]).good();
    until("another container is up", 90, || (LND.container() != old && LND.is_up()).then_some(()));
    all_well();
    witness.nothing_else_happened();
}

/// The process of a `RUN` that never ends.
fn a_build_hangs() -> bool {
    root(&["pgrep", "-f", "[s]leep 4713"]).status == Some(0)
}

/// Adds a hanging step to the build of `one`; the guard removes it.
fn hanging_build(one: Companion) -> impl Drop {
    let dockerfile = format!("{}/Dockerfile", one.base);
    let text = fs::read_to_string(format!("{CONTEXTS}/{dockerfile}")).unwrap();
    let restored = undo(format!(
        "cp /opt/archipelago/pristine/{dockerfile} {CONTEXTS}/{dockerfile}
         pkill -KILL -f '[s]leep 4713'"
    ));
    edit_context(&dockerfile, &format!("{text}RUN sleep 4713\n"));
    restored
}

/// Remains of an interrupted build: working containers of buildah.
fn working_containers() -> String {
    podman(&["ps", "--all", "--external", "--filter", "status=unknown", "--format", "{{.Names}}"])
        .good()
}

/// Row 53: a hanging build blocks no other companion, and stops when its app is removed.
#[test]
fn hanging_build_blocks_no_other_companion_and_stops_on_removal() {
    let witness = Witness::beside(&[LND, ELECTRS]);
    let _daemon = Daemon::resyncing(1);
    let run = run_of(ELECTRS);
    let restored = hanging_build(ELECTRS);
    until("the build hangs", 60, || a_build_hangs().then_some(()));
    let begun = Instant::now();
    podman(&["kill", "--signal=KILL", LND.name]).good();
    fs::remove_file(LND.unit()).unwrap();
    until("another's unit is back", 30, || fs::metadata(LND.unit()).ok());
    until("another is back", 60, || LND.is_up().then_some(()));
    measured("another back while a build hangs", begun);
    assert_eq!(run_of(ELECTRS), run, "it runs on with what it has");

    companion(&["remove", "electrumx"]).exits(0);
    until("the build has ended", 60, || (!a_build_hangs()).then_some(()));
    until("no working container is left", 60, || working_containers().is_empty().then_some(()));
    drop(restored);
    companion(&["install", "electrumx"]).exits(0);
    all_well();
    witness.nothing_else_happened();
}

/// Row 53: a hanging build stops with its daemon, however that ends, and the next daemon starts it again.
#[test]
fn hanging_build_stops_with_its_daemon() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(1);
    let restored = hanging_build(ELECTRS);
    until("the build hangs", 60, || a_build_hangs().then_some(()));
    let begun = Instant::now();
    drop(daemon);
    measured("stop of the daemon while a build hangs", begun);
    assert!(!a_build_hangs());
    assert_eq!(working_containers(), "");

    let daemon = Daemon::resyncing(1);
    until("the next one hangs", 60, || a_build_hangs().then_some(()));
    let old = root(&["pgrep", "-f", "[s]leep 4713"]).stdout;
    daemon.crash();
    // The build of the killed daemon must not survive alongside that of the next.
    until("the old build has ended", 90, || {
        let now = root(&["pgrep", "-f", "[s]leep 4713"]).stdout;
        old.lines().all(|pid| !now.lines().any(|other| other == pid)).then_some(())
    });
    drop(restored);
    all_well();
    drop(daemon);
    until("no working container is left", 60, || working_containers().is_empty().then_some(()));
    witness.nothing_else_happened();
}

/// Row 58: an image for another platform is refused before a start.
#[test]
fn image_for_another_platform_is_refused_before_a_start() {
    let witness = Witness::beside(&[]);
    let reference = "127.0.0.1:5000/fault/other-machine:latest";
    let other = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
    let build = ["podman", "build", "--quiet", "--arch", other, "--tag", reference, "-"];
    archy_reading(&build, "FROM scratch\nLABEL fault=yes\n").good();
    podman(&["push", "--tls-verify=false", reference]).good();
    podman(&["image", "rm", "--force", reference]).good();
    let probe = Probe::pulled(reference);
    let ran = probe.install().exits(1);
    assert!(ran.words().contains(&format!("the image is for linux/{other}")), "{ran}");
    assert!(PROBE.unit_text().is_empty() && !PROBE.is_active());
    drop(probe);
    podman(&["image", "rm", "--force", "--ignore", reference]);
    witness.nothing_else_happened();
}

/// Row 59: a pull without disk space fails, is reported, and retried until there is space.
#[test]
fn pull_without_disk_space_is_reported_and_retried() {
    let witness = Witness::beside(&[]);
    let reference = "127.0.0.1:5000/fault/page:latest";
    podman(&["push", "--tls-verify=false", "localhost/lnd-ui:latest", reference]).good();
    podman(&["image", "rm", "--force", "--ignore", reference]);
    let images = podman(&["images", "--quiet", "--no-trunc"]).good();
    // Pulls use this directory (containers-storage's `image_copy_tmp_dir`).
    let freed = undo("umount --lazy /var/tmp");
    by_root(
        "mount -t tmpfs -o size=16k,mode=1777 tmpfs /var/tmp; head -c 16k /dev/zero >/var/tmp/full || true",
    );
    let probe = Probe::pulled(reference);
    let ran = probe.install();
    let ran = ran.exits(1);
    assert!(ran.words().contains("space"), "{ran}");
    assert_eq!(podman(&["images", "--quiet", "--no-trunc"]).good(), images, "none was pruned");
    drop(freed);
    probe.install().exits(0);
    assert!(PROBE.is_up());
    drop(probe);
    podman(&["image", "rm", "--force", reference]).good();
    witness.nothing_else_happened();
}

/// Row 52: a build without its base image is reported with the name of that image.
#[test]
fn missing_base_image_is_reported() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(1);
    let dockerfile = format!("{}/Dockerfile", ELECTRS.base);
    let restored =
        undo(format!("cp /opt/archipelago/pristine/{dockerfile} {CONTEXTS}/{dockerfile}"));
    edit_context(&dockerfile, "FROM localhost/none-of-this-name:latest\n");
    logged_by(&daemon, "none-of-this-name");
    let run = run_of(ELECTRS);
    throughout("it runs on", 2, || run_of(ELECTRS) == run);
    drop(restored);
    all_well();
    witness.nothing_else_happened();
}
