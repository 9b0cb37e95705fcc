//! Faults of Podman and its containers: missing, killed, paused, occupied names and ports, invalid output.

use std::fs;
use std::net::TcpListener;
use std::time::Instant;

use super::witness::{Witness, run_of};
use super::{TIMEOUT, all_well, held, logged_by};
use crate::daemon::Daemon;
use crate::guest::{
    Ran, archy, by_root, measured, podman, root, systemctl, throughout, undo, until, write,
};
use crate::http;
use crate::node::{ALL, COMPANION, Companion, LND, companion};

/// The directory of a test's `podman`.
const STUBS: &str = "/home/archy/stubs";

/// Runs the command with only this directory and that of the shell in `PATH`.
fn companion_with_stub(arguments: &[&str]) -> Ran {
    let path = format!("PATH={STUBS}");
    archy(&[&["env", &path, COMPANION], arguments].concat())
}

fn stub(script: &str) {
    write(&format!("{STUBS}/podman"), &format!("#!/bin/sh\n{script}\n"));
    archy(&["chmod", "0755", &format!("{STUBS}/podman")]).good();
}

/// Row 63: a start does not replace an unmanaged container with the same name.
#[test]
fn unmanaged_container_with_the_same_name_is_kept() {
    let witness = Witness::beside(&[LND]);
    let daemon = Daemon::resyncing(1);
    systemctl(&["mask", "--runtime", "--now", &LND.service()]).good();
    let base = "localhost/companion-base:latest";
    podman(&["rm", "--force", "--ignore", LND.name]).good();
    podman(&["create", "--name", LND.name, base]).good();
    let theirs = LND.container();
    systemctl(&["unmask", "--runtime", &LND.service()]).good();
    let _removed = undo("archy podman rm --force --ignore archy-lnd-ui");
    held(LND, "conflict", "a container of image");
    logged_by(&daemon, "a container of image");
    throughout("it is left alone", 3, || LND.container() == theirs && !LND.is_active());
    companion(&["remove", "lnd"]);
    assert_eq!(LND.container(), theirs, "a removal concerns only what is ours");
    companion(&["install", "lnd"]).exits(1);

    podman(&["rm", "--force", LND.name]).good();
    all_well();
    witness.nothing_else_happened();
}

/// Row 64: an occupied port stops one companion, which is reported, and no other.
#[test]
fn occupied_port_is_reported_and_waited_for() {
    let witness = Witness::beside(&[LND]);
    let _daemon = Daemon::resyncing(1);
    systemctl(&["mask", "--runtime", "--now", &LND.service()]).good();
    let listener = until("the port is free", 20, || TcpListener::bind(("0.0.0.0", LND.port)).ok());
    systemctl(&["unmask", "--runtime", &LND.service()]).good();
    until("its start has failed", TIMEOUT, || {
        let (status, exit) = LND.status();
        let told = status.to_string();
        (exit == Some(1) && told.contains("126")).then_some(())
    });
    let logs = companion(&["logs", "--lines=50", LND.name]);
    assert!(logs.words().contains(&LND.port.to_string()), "{logs}");
    let restarts: u32 = LND.property("NRestarts").parse().unwrap();
    assert!(restarts < 10, "{restarts}");
    witness.bystanders_run_on();
    drop(listener);
    all_well();
    witness.nothing_else_happened();
}

/// Row 65: an unresponsive process is not restarted, because no health check is declared.
#[test]
fn unresponsive_page_causes_no_restart() {
    let witness = Witness::beside(&[LND]);
    let _daemon = Daemon::resyncing(1);
    let run = run_of(LND);
    let pid = podman(&["inspect", "--format", "{{.State.Pid}}", LND.name]).good();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let all = format!("{pid} {children}");
    let _woken = undo(format!("kill -CONT {all}"));
    by_root(&format!("kill -STOP {all}"));
    throughout("nothing is done", 6, || run_of(LND) == run);
    assert!(http::get(LND.port, "/", &[]).is_err());
    by_root(&format!("kill -CONT {all}"));
    all_well();
    assert_eq!(run_of(LND), run);
    witness.nothing_else_happened();
}

/// Row 66: a missing podman, an old one, and one with invalid output.
#[test]
fn missing_or_unsupported_podman_is_reported_and_changes_nothing() {
    let witness = Witness::beside(&[]);
    let _removed = undo(format!("rm -rf {STUBS}"));
    archy(&["mkdir", "-p", STUBS]).good();
    let ran = companion_with_stub(&["reconcile"]).exits(3);
    assert!(ran.stderr.contains("podman") && ran.stderr.contains(STUBS), "{ran}");
    stub("echo podman version 3.4.4");
    let ran = companion_with_stub(&["reconcile"]).exits(3);
    assert!(ran.stderr.contains("3.4.4"), "{ran}");
    stub("echo what a lovely day");
    let ran = companion_with_stub(&["reconcile"]).exits(3);
    assert!(ran.stderr.contains("version"), "{ran}");
    for answer in ["{]", "[{\"Id\": 7}]", "", "[[[[[[[["] {
        stub(&format!(
            "case $1 in --version) exec /usr/bin/podman --version ;; *) echo '{answer}' ;; esac"
        ));
        let ran = companion_with_stub(&["reconcile"]).exits(1);
        assert!(ran.words().contains("image"), "{ran}");
        witness.bystanders_run_on();
    }
    stub("case $1 in --version) exec /usr/bin/podman --version ;; *) kill -KILL $$ ;; esac");
    let ran = companion_with_stub(&["reconcile"]).exits(1);
    assert!(ran.words().contains("signal 9"), "{ran}");
    companion(&["status"]).exits(0);
    witness.nothing_else_happened();
}

/// Row 66, daemon: Podman is removed while it runs, and restored.
#[test]
fn daemon_reports_a_hanging_podman_and_recovers() {
    let witness = Witness::beside(&[]);
    let _removed = undo(format!("rm -rf {STUBS}"));
    let gate = format!("{STUBS}/hang");
    stub(&format!(
        "if [ -e {gate} ] && [ \"$1\" != --version ]; then exec sleep 1000; fi
         exec /usr/bin/podman \"$@\""
    ));
    let lines = format!("Environment=PATH={STUBS}:/usr/bin:/bin");
    let daemon = Daemon::with(1, &lines);
    all_well();
    write(&gate, "");
    // Causes a new query: the store's index is another file.
    podman(&["tag", "localhost/lnd-ui:latest", "localhost/also-lnd-ui:latest"]).good();
    logged_by(&daemon, "image cannot be read");
    throughout("all run on", 2, || ALL.into_iter().all(Companion::is_up));
    fs::remove_file(&gate).unwrap();
    until("the daemon finds all well", 60, || {
        let text = crate::guest::property("companion.service", "StatusText");
        text.contains("all ready").then_some(())
    });
    podman(&["untag", "localhost/also-lnd-ui:latest"]).good();
    until("nothing hangs", 30, || {
        let ran = root(&["pgrep", "-f", "[s]leep 1000"]);
        (ran.status == Some(1)).then_some(())
    });
    witness.nothing_else_happened();
}

/// Row 67: while the store is locked, repairs without Podman continue.
#[test]
fn units_are_repaired_while_the_image_store_is_locked() {
    let witness = Witness::beside(&[]);
    let _daemon = Daemon::resyncing(1);
    all_well();
    let path = "/home/archy/.local/share/containers/storage/storage.lock";
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let hangs = archy(&["timeout", "3", "podman", "images"]);
    assert_eq!(hangs.status, Some(124), "the lock is one: {hangs}");
    let begun = Instant::now();
    fs::remove_file(LND.unit()).unwrap();
    until("its unit is back", 30, || fs::metadata(LND.unit()).ok());
    measured("unit back while the image store is locked", begun);
    // The image is unreadable meanwhile, so the companion is not reported as ready.
    throughout("all run on", 2, || ALL.into_iter().all(Companion::is_up));
    assert_eq!(LND.property("LoadState"), "loaded");
    drop(file);
    all_well();
    witness.nothing_else_happened();
}

/// Row 68: without its conmon a container is an orphan that occupies the name; the next start replaces it.
#[test]
fn container_without_conmon_is_replaced() {
    let witness = Witness::beside(&[LND]);
    let _daemon = Daemon::resyncing(1);
    let (old, pid) = (LND.container().unwrap(), LND.property("MainPID"));
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(name.trim(), "conmon");
    let begun = Instant::now();
    by_root(&format!("kill -KILL {pid}"));
    until("another is up", TIMEOUT, || LND.container().filter(|id| *id != old && LND.is_up()));
    measured("container back whose conmon was killed", begun);
    all_well();
    assert_eq!(LND.starts(&witness.since), 1);
    let names = podman(&["ps", "--all", "--format", "{{.Names}}"]).good();
    assert_eq!(names.lines().filter(|name| *name == LND.name).count(), 1);
    witness.nothing_else_happened();
}

/// Row 69: without subordinate ids no container starts; nothing is removed, the doctor reports the missing ids and
/// the fix, and after the fix all companions recover.
#[test]
fn missing_subordinate_ids_are_reported_until_they_are_restored() {
    let witness = Witness::beside(&ALL);
    let restored = undo(
        "cd /etc && for f in subuid subgid; do test -e $f.saved && mv $f.saved $f; done
        archy podman system migrate
        systemctl restart user@1000",
    );
    by_root(
        "systemctl stop user@1000
         cd /etc && for f in subuid subgid; do cp -a $f $f.saved; : >$f; done
         systemctl start user@1000",
    );
    let daemon = Daemon::resyncing(2);
    let ran = companion(&["status"]);
    assert_eq!(ran.status, Some(1), "{ran}");
    logged_by(&daemon, "archy-");
    assert!(ALL.into_iter().all(|one| !one.unit_text().is_empty()), "nothing was removed");
    let ran = companion(&["doctor"]).exits(3);
    assert!(ran.stdout.contains("/etc/subuid") && ran.stdout.contains("system migrate"), "{ran}");
    drop(restored);
    until("archy's manager answers", 60, || {
        systemctl(&["show", "--property=Version"]).status.filter(|status| *status == 0)
    });
    let began_again = || ALL.into_iter().all(Companion::is_up).then_some(());
    until("all are up", 90, began_again);
    all_well();
    witness.nothing_else_happened();
}
