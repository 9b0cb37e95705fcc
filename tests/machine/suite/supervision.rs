//! Companions are services of systemd and independent of the daemon. The first two tests are the regression that must
//! never come back.

use std::fs;
use std::time::Instant;

use crate::daemon::Daemon;
use crate::guest::{by_root, measured, podman, root, undo, until};
use crate::node::{ALL, Companion, LND, Moment, UNITS, all_ready, all_up, containers, installed};

/// The containers, observed to be the same and up during `act`.
fn undisturbed(act: impl FnOnce()) {
    let before = containers();
    let since = Moment::now();
    act();
    assert!(ALL.into_iter().all(Companion::is_up));
    assert_eq!(containers(), before);
    assert_eq!(ALL.map(|one| one.starts(&since)), [0; 3]);
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
            let started = one.loses_its_unit();
            measured(&format!("unit of {} back after it was deleted", one.name), started);
        }
        all_ready(30);
    });
    assert_eq!(ALL.map(Companion::unit_text), texts);
}

#[test]
fn deleted_unit_directory_is_restored_within_a_resync() {
    installed();
    let _daemon = Daemon::start();
    undisturbed(|| {
        let started = Instant::now();
        // In one step: the daemon would restore the first unit while the others are still being deleted.
        let deleted = format!("{UNITS}.deleted");
        fs::rename(UNITS, &deleted).unwrap();
        fs::remove_dir_all(deleted).unwrap();
        until("all units are back", 45, || {
            ALL.into_iter().all(|one| fs::exists(one.unit()).unwrap()).then_some(())
        });
        all_ready(45);
        measured("unit directory back after it was deleted", started);
    });
    assert!(ALL.into_iter().all(|one| one.unit_text().contains("[X-Companion]")));
}

#[test]
fn systemd_restarts_a_companion_without_the_daemon() {
    installed();
    let old = LND.container().unwrap();
    let started = Instant::now();
    podman(&["kill", "--signal=KILL", LND.name]).good();
    until("another container runs", 40, || LND.container().filter(|id| *id != old && LND.is_up()));
    measured("killed container back, by systemd alone", started);
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
    let started = Instant::now();
    root(&["mount", "--bind", "/home/archy.real", "/home/archy"]).good();
    all_up(60);
    measured("all companions up after the mount of the home", started);
}
