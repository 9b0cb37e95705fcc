//! Removed companions leave nothing and stay removed.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::guest::{archy, measured, throughout, until};
use crate::node::{BITCOIN, CONFIG, Companion, ELECTRS, LND, companion, installed};

/// Whether no object of a companion is left.
fn is_gone(one: Companion) -> bool {
    !fs::exists(one.unit()).unwrap()
        && one.property("LoadState") == "not-found"
        && one.property("ActiveState") == "inactive"
        && one.container().is_none()
}

#[test]
fn removed_app_leaves_no_objects_and_other_apps_unchanged() {
    installed();
    let others = [LND, ELECTRS].map(Companion::container);
    let directory = Path::new(CONFIG).parent().unwrap();
    assert!(directory.is_dir());
    let begun = Instant::now();
    companion(&["remove", "bitcoin-knots"]).exits(0);
    measured("removal of one app", begun);
    assert!(is_gone(BITCOIN));
    assert!(!fs::exists(directory).unwrap(), "{} is left", directory.display());
    let (status, _) = BITCOIN.status();
    assert_eq!(status["health"], "not-installed");
    assert_eq!([LND, ELECTRS].map(Companion::container), others);
    companion(&["status"]).exits(0);
    let _again = companion(&["remove", "bitcoin-knots"]).exits(0);
}

#[test]
fn removal_deletes_rendered_files_without_the_link() {
    installed();
    let directory = Path::new(CONFIG).parent().unwrap();
    for script in [
        "rm \"$1\"",
        "rm \"$(realpath \"$1\")\"",
        "rm \"$1\"; echo '# edited' >\"$1\"",
        "ln -sfn /etc/hostname \"$1\"; echo '# edited' >\"$1.0123456789abcdef\"",
    ] {
        archy(&["sh", "-ec", script, "sh", CONFIG]).good();
        companion(&["remove", "bitcoin-knots"]).exits(0);
        assert!(is_gone(BITCOIN) && !fs::exists(directory).unwrap(), "{script}");
        companion(&["install", "bitcoin-knots"]).exits(0);
        assert!(BITCOIN.is_up(), "{script}");
    }
    assert_eq!(fs::read_to_string("/etc/hostname").unwrap().trim(), "companion-machine");
}

#[test]
fn app_removed_while_the_daemon_reconciles_stays_removed() {
    installed();
    let _daemon = Daemon::resyncing(1);
    for attempt in 0..5_u64 {
        // At another point of the daemon's reconcile each time, which the deletion just started.
        fs::remove_file(LND.unit()).unwrap();
        thread::sleep(Duration::from_millis(150 * attempt));
        companion(&["remove", "lnd"]).exits(0);
        until("it is gone", 15, || is_gone(LND).then_some(()));
        throughout("it stays gone", 3, || is_gone(LND));
        companion(&["install", "lnd"]).exits(0);
        assert!(LND.is_up());
    }
}

#[test]
fn app_removed_during_its_install_stays_removed() {
    installed();
    let _daemon = Daemon::resyncing(1);
    for attempt in 0..3_u64 {
        companion(&["remove", "electrumx"]).exits(0);
        let install = thread::spawn(|| companion(&["install", "electrumx"]));
        thread::sleep(Duration::from_millis(400 * attempt));
        companion(&["remove", "electrumx"]);
        let _either_way = install.join().unwrap();
        // The later intent wins; the record tells which one that was.
        let status = ELECTRS.status().0;
        if status["health"] == "not-installed" || status["health"] == "removing" {
            until("it is gone", 15, || is_gone(ELECTRS).then_some(()));
            throughout("it stays gone", 3, || is_gone(ELECTRS));
        } else {
            until("it is up", 30, || ELECTRS.is_up().then_some(()));
        }
    }
}

#[test]
fn unrecorded_app_cannot_be_removed() {
    installed();
    let ran = companion(&["remove", "no-such-app"]).exits(2);
    assert!(ran.stderr.contains("unknown app `no-such-app`"), "{ran}");
}
