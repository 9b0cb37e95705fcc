//! Faults of files and directories: full, read-only, of another user, changed faster than events come.

use std::fs;

use super::TIMEOUT;
use super::witness::Witness;
use crate::daemon::Daemon;
use crate::guest::{Undo, archy, by_root, measured, throughout, undo, until};
use crate::node::{
    ALL, BITCOIN, CONFIG, Companion, LND, STATE, UNITS, all_ready, ask_the_node, companion,
    logged_by_the_daemon, rotate_password,
};

/// A disk over a directory, with its files and no space left; removed with the guard.
fn full_disk(directory: &str) -> Undo {
    let uncovered = undo(format!("umount --lazy {directory}"));
    by_root(&format!(
        "cp -a {directory} /run/saved
         mount -t tmpfs -o mode=0700,uid=1000,gid=1000 tmpfs {directory}
         cp -a /run/saved/. {directory} && rm -r /run/saved
         mount -o remount,size=$(($(du -sk {directory} | cut -f1) + 1024))k {directory}
         cat /dev/zero >{directory}/full 2>/dev/null || true"
    ));
    uncovered
}

/// Row 6, desired state: an intent that cannot be stored is refused, and the previous record stays.
#[test]
fn intent_without_disk_space_is_refused_and_loses_nothing() {
    let witness = Witness::excluding(&[]);
    let _uncovered = full_disk(STATE);
    let file = format!("{STATE}/desired.json");
    let before = fs::read(&file).unwrap();
    let ran = companion(&["remove", "lnd"]);
    assert_ne!(ran.status, Some(0), "{ran}");
    assert!(ran.stderr.contains("desired.json") || ran.stderr.contains("record"), "{ran}");
    assert!(ran.stderr.contains("space"), "{ran}");
    assert!(fs::read(&file).unwrap() == before, "the record changed");
    let found = fs::read_dir(STATE).unwrap().flatten();
    let mut found: Vec<_> = found.map(|entry| entry.file_name().into_string().unwrap()).collect();
    found.retain(|name| name.contains("desired.json"));
    assert_eq!(found, ["desired.json"], "nothing is left of the attempt");
    witness.nothing_else_happened();

    fs::remove_file(format!("{STATE}/full")).unwrap();
    companion(&["install", "lnd"]).exits(0);
    witness.nothing_else_happened();
}

/// Row 6, rendered configuration: the previous one stays in use until there is space again.
#[test]
fn configuration_without_disk_space_keeps_the_previous_one() {
    let witness = Witness::excluding(&[BITCOIN]);
    let _daemon = Daemon::resyncing(1);
    let old = BITCOIN.container();
    let directory = "/var/lib/archipelago/bitcoin-ui";
    let _uncovered = full_disk(directory);
    let before = fs::read(CONFIG).unwrap();
    rotate_password("the-usual-password-on-a-full-disk");
    logged_by_the_daemon("space");
    assert!(fs::read(CONFIG).unwrap() == before, "the configuration changed");
    assert_eq!(BITCOIN.container(), old, "it runs on with what it has");
    assert_eq!(BITCOIN.status().1, Some(1));

    by_root(&format!("rm {directory}/full"));
    until("the new password is used", 60, || ask_the_node().filter(|status| *status == 200));
    assert_eq!(BITCOIN.starts(&witness.since), 1);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}

/// Rows 8 and 10: an app removed while the unit directory is read-only is stopped, the rest is reported, and removed
/// later.
#[test]
fn removal_from_a_read_only_directory_is_reported_and_completes_later() {
    let witness = Witness::excluding(&[LND]);
    let uncovered = undo(format!("umount --lazy {UNITS}"));
    by_root(&format!("mount --bind {UNITS} {UNITS} && mount -o remount,bind,ro {UNITS}"));
    let ran = companion(&["remove", "lnd"]).exits(1);
    assert!(ran.words().to_lowercase().contains("read-only"), "{ran}");
    assert!(!LND.unit_text().is_empty());
    witness.bystanders_run_on();

    drop(uncovered);
    companion(&["reconcile"]).exits(0);
    assert!(LND.is_absent());
    companion(&["status"]).exits(0);
    witness.nothing_else_happened();
}

/// Row 12: a link to another user's directory is refused, and nothing is written there.
#[test]
fn unit_directory_behind_a_link_to_another_user_is_refused() {
    let witness = Witness::excluding(&[]);
    let _daemon = Daemon::resyncing(1);
    // In one step: the daemon would restore a directory that is missing in between.
    let exchange = "cd /home/archy/.config/containers && mv -T --exchange other systemd";
    let moved_back = undo(format!("{exchange} && rm other; rm -rf /home/mallory/units"));
    by_root(&format!(
        "install -d -o 1001 -g 1001 -m 0777 /home/mallory/units && chmod 0711 /home/mallory
         archy ln -s /home/mallory/units /home/archy/.config/containers/other
         {exchange}"
    ));
    logged_by_the_daemon("belongs to user 1001");
    assert_eq!(companion(&["status"]).status, Some(1));
    throughout("all run on", 3, || ALL.into_iter().all(Companion::is_up));
    assert_eq!(fs::read_dir("/home/mallory/units").unwrap().count(), 0);

    drop(moved_back);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}

/// Row 25: an overflow of the event queue loses nothing, because events are only hints.
#[test]
fn changes_without_events_are_found_by_the_resync() {
    let witness = Witness::excluding(&[]);
    let daemon = Daemon::resyncing(5);
    let pid = daemon.pid().to_string();
    let _woken = undo(format!("kill -CONT {pid}"));
    by_root(&format!("kill -STOP {pid}"));
    // The queue holds 16,384 events (inotify(7)); each of these files causes two.
    let burst = "cd \"$1\" && i=0; while [ $i -lt 10000 ]; do : >burst-$i; i=$((i+1)); done; \
                 find . -name 'burst-*' -delete";
    archy(&["sh", "-c", burst, "sh", UNITS]).good();
    fs::remove_file(LND.unit()).unwrap();
    let started = std::time::Instant::now();
    by_root(&format!("kill -CONT {pid}"));
    until("its unit is back", 30, || fs::metadata(LND.unit()).ok());
    measured("unit back whose deletion caused no event", started);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}
