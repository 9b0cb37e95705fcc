//! Faults of the daemon, its state, the manager, and all companions at once.

use std::fs;
use std::thread;
use std::time::Duration;

use super::companion_faults::{delete_unit, stop};
use super::faults::Aim;
use super::site::{EVERY, daemon, units};
use crate::guest::{Ran, archy, podman, root, systemctl, write};
use crate::node::{CATALOG, Companion, STATE, UNITS, companion};

const GENERATOR: &str = "/usr/lib/systemd/user-generators/podman-user-generator";
const PODMAN: &str = "/usr/bin/podman";
const BROKEN: &str = "/home/archy/.config/containers/systemd/broken.container";

fn well(ran: &Ran) -> bool {
    ran.status == Some(0)
}

fn signal(name: &str) -> bool {
    daemon().is_some_and(|pid| well(&root(&["kill", name, &pid.to_string()])))
}

pub(super) fn kill_daemon(_aim: Aim) -> bool {
    signal("-KILL")
}

pub(super) fn restart_daemon(_aim: Aim) -> bool {
    well(&systemctl(&["restart", "companion.service"]))
}

pub(super) fn hold_up_daemon(_aim: Aim) -> bool {
    let held = signal("-STOP");
    thread::sleep(Duration::from_secs(3));
    held && signal("-CONT")
}

pub(super) fn reload(_aim: Aim) -> bool {
    well(&systemctl(&["daemon-reload"]))
}

pub(super) fn reload_storm(_aim: Aim) -> bool {
    let script = "for i in 0 1 2 3 4 5 6 7 8 9; do systemctl --user daemon-reload & done; wait";
    well(&archy(&["sh", "-c", script]))
}

pub(super) fn reexecute(_aim: Aim) -> bool {
    well(&systemctl(&["daemon-reexec"]))
}

/// The published status, which influences no decision; the leader rewrites it when it changes.
pub(super) fn garble_status(_aim: Aim) -> bool {
    write(&format!("{STATE}/status.json"), "{\"half a");
    write(&format!("{STATE}/events.jsonl"), "{\"half a");
    well(&companion(&["reload"]))
}

pub(super) fn status_is_whole(_one: Companion) -> bool {
    let text = fs::read_to_string(format!("{STATE}/status.json")).unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(&text).is_ok()
}

/// An unreadable catalog leaves the last valid one in force.
pub(super) fn break_catalog(_aim: Aim) -> bool {
    fs::copy(CATALOG, format!("{CATALOG}.away")).is_ok() && {
        write(CATALOG, "half a cat");
        true
    }
}

pub(super) fn mend_catalog(_aim: Aim) {
    let away = format!("{CATALOG}.away");
    // As its owner: the copy belongs to root.
    write(CATALOG, &fs::read_to_string(&away).unwrap());
    fs::remove_file(away).unwrap();
}

pub(super) fn take_lock(_aim: Aim) -> bool {
    well(&archy(&["flock", &format!("{STATE}/lock"), "sleep", "5"]))
}

pub(super) fn passes_at_once(_aim: Aim) -> bool {
    // Their result depends on other faults; they must end, and not by `timeout`.
    let ends = || ![None, Some(124), Some(137)].contains(&companion(&["reconcile"]).status);
    let passes = [(); 3].map(|()| thread::spawn(ends));
    let all = passes.into_iter().all(|pass| pass.join().unwrap());
    assert!(all, "a pass does not end");
    all
}

pub(super) fn burst_of_files(_aim: Aim) -> bool {
    let script = "cd \"$1\" && for i in $(seq 300); do : >burst-$i; done; rm -f burst-*";
    well(&archy(&["sh", "-c", script, "sh", UNITS]))
}

/// The base image stays, because the unmanaged container uses it.
pub(super) fn prune_images(_aim: Aim) -> bool {
    well(&podman(&["image", "prune", "--all", "--force"]))
}

fn record() -> String {
    format!("{STATE}/desired.json")
}

pub(super) fn garble_record(_aim: Aim) -> bool {
    fs::rename(record(), format!("{STATE}/away")).is_ok() && {
        write(&record(), "half a rec");
        true
    }
}

pub(super) fn mend_record(_aim: Aim) {
    fs::rename(format!("{STATE}/away"), record()).unwrap();
}

pub(super) fn write_broken_unit(_aim: Aim) -> bool {
    write(BROKEN, "[Container\n");
    true
}

pub(super) fn remove_broken_unit(_aim: Aim) {
    let _gone = fs::remove_file(BROKEN);
}

pub(super) fn stop_all(_aim: Aim) -> bool {
    let services = EVERY.map(Companion::service);
    let mut words = vec!["stop"];
    words.extend(services.iter().map(String::as_str));
    well(&systemctl(&words))
}

pub(super) fn delete_all(_aim: Aim) -> bool {
    units().into_iter().all(|unit| fs::remove_file(unit).is_ok())
}

pub(super) fn kill_bus(_aim: Aim) -> bool {
    well(&systemctl(&["kill", "--signal=KILL", "dbus.service"]))
}

pub(super) fn restart_manager(_aim: Aim) -> bool {
    well(&root(&["systemctl", "restart", "user@1000.service"]))
}

/// No reload meanwhile: a reload without a generator drops every unit.
pub(super) fn take_generator(aim: Aim) -> bool {
    well(&root(&["chmod", "0", GENERATOR])) && delete_unit(aim)
}

pub(super) fn give_generator(_aim: Aim) {
    root(&["chmod", "0755", GENERATOR]).good();
}

pub(super) fn take_podman(aim: Aim) -> bool {
    stop(aim) && well(&root(&["chmod", "0", PODMAN]))
}

pub(super) fn give_podman(_aim: Aim) {
    root(&["chmod", "0755", PODMAN]).good();
}

pub(super) fn close_units(aim: Aim) -> bool {
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    delete_unit(aim) && well(&root(&["sh", "-c", script, "sh", UNITS]))
}

pub(super) fn open_units(_aim: Aim) {
    root(&["umount", UNITS]).good();
}
