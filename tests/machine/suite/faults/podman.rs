//! Faults of Podman's store, its users and a container's process.

use std::fs;

use super::TIMEOUT;
use super::witness::Witness;
use crate::daemon::Daemon;
use crate::guest::{archy, by_root, measured, podman, systemctl, throughout, undo, until};
use crate::http;
use crate::node::{ALL, Companion, LND, all_ready, all_up, companion, logged_by_the_daemon};

/// Row 65: an unresponsive process is not restarted, because no health check is declared.
#[test]
fn unresponsive_page_causes_no_restart() {
    let witness = Witness::excluding(&[LND]);
    let _daemon = Daemon::resyncing(1);
    let run = LND.run();
    let pid = podman(&["inspect", "--format", "{{.State.Pid}}", LND.name]).good();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let woken = undo(format!("kill -CONT {pid} {children}"));
    by_root(&format!("kill -STOP {pid} {children}"));
    throughout("nothing is done", 6, || LND.run() == run);
    assert!(http::get(LND.port, "/", &[]).is_err());
    drop(woken);
    all_ready(TIMEOUT);
    assert_eq!(LND.run(), run);
    witness.nothing_else_happened();
}

/// Row 67: while the store is locked and every call of Podman hangs, repairs without Podman continue.
#[test]
fn units_are_repaired_while_the_image_store_is_locked() {
    let witness = Witness::excluding(&[]);
    let _daemon = Daemon::resyncing(1);
    all_ready(TIMEOUT);
    let path = "/home/archy/.local/share/containers/storage/storage.lock";
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let hangs = archy(&["timeout", "3", "podman", "images"]);
    assert_eq!(hangs.status, Some(124), "the lock is one: {hangs}");
    measured("unit back while the image store is locked", LND.loses_its_unit());
    // The image is unreadable meanwhile, so the companion is not reported as ready.
    throughout("all run on", 2, || ALL.into_iter().all(Companion::is_up));
    assert_eq!(LND.property("LoadState"), "loaded");
    drop(file);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}

/// Row 69: without subordinate ids no container starts; nothing is removed, the doctor reports the missing ids and
/// the fix, and after the fix all companions recover.
#[test]
fn missing_subordinate_ids_are_reported_until_they_are_restored() {
    let witness = Witness::excluding(&ALL);
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
    let _daemon = Daemon::resyncing(2);
    let ran = companion(&["status"]);
    assert_eq!(ran.status, Some(1), "{ran}");
    logged_by_the_daemon("archy-");
    assert!(ALL.into_iter().all(|one| !one.unit_text().is_empty()), "nothing was removed");
    let ran = companion(&["doctor"]).exits(3);
    assert!(ran.stdout.contains("/etc/subuid") && ran.stdout.contains("system migrate"), "{ran}");
    drop(restored);
    until("archy's manager answers", 60, || {
        systemctl(&["show", "--property=Version"]).status.filter(|status| *status == 0)
    });
    all_up(90);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}
