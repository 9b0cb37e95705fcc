//! Companions are services of systemd and independent of the daemon. The first two tests are the regression that must
//! never come back.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use crate::daemon::Daemon;
use crate::guest::{by_root, measured, podman, root, undo, until};
use crate::node::{ALL, Companion, LND, Moment, companion, containers, installed};

/// The containers, observed to be the same and up during `act`.
fn undisturbed(act: impl FnOnce()) {
    let before = containers();
    let since = Moment::now();
    act();
    assert!(ALL.into_iter().all(Companion::is_up));
    assert_eq!(containers(), before);
    let starts: BTreeMap<_, _> =
        ALL.into_iter().map(|one| (one.name, one.starts(&since))).collect();
    assert!(starts.values().all(|count| *count == 0), "{starts:?}");
}

#[test]
fn companions_keep_running_while_the_daemon_is_down() {
    installed();
    let daemon = Daemon::start();
    undisturbed(|| daemon.restart());
    undisturbed(|| daemon.crash());
    undisturbed(|| drop(daemon));
}

#[test]
fn deleted_unit_file_is_restored_within_a_resync_without_a_restart() {
    installed();
    let texts = ALL.map(Companion::unit_text);
    let _daemon = Daemon::start();
    undisturbed(|| {
        for one in ALL {
            let begun = Instant::now();
            fs::remove_file(one.unit()).unwrap();
            until("its unit is back", 30, || fs::metadata(one.unit()).ok());
            measured(&format!("unit of {} back after it was deleted", one.name), begun);
        }
        until("it is ready", 30, all_ready);
    });
    assert_eq!(ALL.map(Companion::unit_text), texts);
}

#[test]
fn deleted_unit_directory_is_restored_within_a_resync() {
    installed();
    let _daemon = Daemon::start();
    undisturbed(|| {
        let begun = Instant::now();
        // At once: the daemon restores the first unit while others are still deleted.
        let deleted = format!("{}.deleted", crate::node::UNITS);
        fs::rename(crate::node::UNITS, &deleted).unwrap();
        fs::remove_dir_all(deleted).unwrap();
        until("all are ready", 45, all_ready);
        measured("unit directory back after it was deleted", begun);
    });
    assert!(ALL.into_iter().all(|one| one.unit_text().contains("[X-Companion]")));
}

fn all_ready() -> Option<()> {
    let there = ALL.into_iter().all(|one| fs::exists(one.unit()).unwrap());
    (there && companion(&["status"]).status == Some(0)).then_some(())
}

#[test]
fn systemd_restarts_a_companion_without_the_daemon() {
    installed();
    let old = LND.container().unwrap();
    let begun = Instant::now();
    podman(&["kill", "--signal=KILL", LND.name]).good();
    until("another container runs", 40, || LND.container().filter(|id| *id != old && LND.is_up()));
    measured("killed container back, by systemd alone", begun);
}

#[test]
fn second_daemon_exits_and_the_first_keeps_running() {
    installed();
    let daemon = Daemon::start();
    let first = daemon.pid();
    let ran = companion(&["run"]).exits(1);
    assert!(ran.stderr.contains("another daemon is the leader of this host"), "{ran}");
    assert_eq!(daemon.pid(), first);
    undisturbed(|| {
        fs::remove_file(LND.unit()).unwrap();
        until("its unit is back", 30, || fs::metadata(LND.unit()).ok());
    });
}

#[test]
fn commands_work_while_the_daemon_runs() {
    installed();
    let _daemon = Daemon::resyncing(1);
    let before = containers();
    for _ in 0..3 {
        companion(&["reconcile"]).exits(0);
        companion(&["install", "lnd"]).exits(0);
    }
    assert_eq!(containers(), before);
}

/// The daemon's unit and program are outside of the home, as a package installs them.
#[test]
fn daemon_older_than_the_mount_of_its_home_starts_all_companions() {
    installed();
    let _undo = undo(
        "
        systemctl --quiet --global disable companion.service
        systemctl stop user@1000.service
        umount --quiet /home/archy && mv /home/archy /home/archy.early && mv /home/archy.real /home/archy
        rm -rf --one-file-system /home/archy.early
        rm -f /etc/systemd/user/companion.service /usr/local/bin/companion
        systemctl start user@1000.service
        ",
    );
    by_root(
        "
        cp /home/archy/.local/bin/companion /usr/local/bin/companion
        sed 's|^ExecStart=.*|ExecStart=/usr/local/bin/companion run|' \
            /home/archy/.config/systemd/user/companion.service >/etc/systemd/user/companion.service
        systemctl --quiet --global enable companion.service
        systemctl stop user@1000.service
        mv /home/archy /home/archy.real
        install -d -o archy -g archy -m 0700 /home/archy
        systemctl start user@1000.service
        ",
    );
    until("the daemon runs", 30, Daemon::find);
    assert!(ALL.into_iter().all(|one| !one.is_active()), "systemd found no unit");
    let begun = Instant::now();
    root(&["mount", "--bind", "/home/archy.real", "/home/archy"]).good();
    until("all run", 60, || ALL.into_iter().all(Companion::is_up).then_some(()));
    measured("all companions up after the mount of the home", begun);
}
