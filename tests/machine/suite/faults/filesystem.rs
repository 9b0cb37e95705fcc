//! Faults of files and directories: full, read-only, inaccessible, lost, replaced, damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::witness::Witness;
use super::{all_well, held, logged_by};
use crate::daemon::Daemon;
use crate::guest::{archy, by_root, measured, throughout, undo, until};
use crate::node::{
    ALL, BITCOIN, CONFIG, Companion, ELECTRS, LND, STATE, UNITS, ask_the_node, companion,
    rotate_password,
};

/// Row 6, desired state: an intent that cannot be stored is refused, and the previous record stays.
#[test]
fn intent_without_disk_space_is_refused_and_loses_nothing() {
    let witness = Witness::beside(&[]);
    let _uncovered = undo("umount --lazy /home/archy/.local/state/companion");
    by_root(
        "cd /home/archy/.local/state && cp -a companion /run/saved-state
         mount -t tmpfs -o size=8m,mode=0700,uid=1000,gid=1000 tmpfs companion
         cp -a /run/saved-state/. companion && rm -r /run/saved-state
         cat /dev/zero >companion/full 2>/dev/null || true",
    );
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
    let witness = Witness::beside(&[BITCOIN]);
    let daemon = Daemon::resyncing(1);
    let old = BITCOIN.container();
    let _uncovered = undo("umount --lazy /var/lib/archipelago/bitcoin-ui");
    by_root(
        "cd /var/lib/archipelago && cp -a bitcoin-ui /run/saved-config
         mount -t tmpfs -o size=32k,mode=0700,uid=1000,gid=1000 tmpfs bitcoin-ui
         cp -a /run/saved-config/. bitcoin-ui && rm -r /run/saved-config
         cat /dev/zero >bitcoin-ui/full 2>/dev/null || true",
    );
    let before = fs::read(CONFIG).unwrap();
    rotate_password("the-usual-password-on-a-full-disk");
    logged_by(&daemon, "space");
    assert!(fs::read(CONFIG).unwrap() == before, "the configuration changed");
    assert_eq!(BITCOIN.container(), old, "it runs on with what it has");
    assert_eq!(BITCOIN.status().1, Some(1));

    by_root("rm /var/lib/archipelago/bitcoin-ui/full");
    until("the new password is used", 60, || ask_the_node().filter(|status| *status == 200));
    assert_eq!(BITCOIN.starts(&witness.since), 1);
    all_well();
    witness.nothing_else_happened();
}

/// Row 8: an app removed while the unit directory is read-only is stopped, the rest is reported, and removed later.
#[test]
fn removal_from_a_read_only_directory_is_reported_and_completes_later() {
    let witness = Witness::beside(&[LND]);
    let uncovered = undo("umount --lazy /home/archy/.config/containers/systemd");
    by_root(
        "cd /home/archy/.config/containers
         mount --bind systemd systemd && mount -o remount,bind,ro systemd",
    );
    let ran = companion(&["remove", "lnd"]).exits(1);
    assert!(ran.words().to_lowercase().contains("read-only"), "{ran}");
    assert!(!LND.unit_text().is_empty());
    witness.bystanders_run_on();

    drop(uncovered);
    companion(&["reconcile"]).exits(0);
    assert!(LND.unit_text().is_empty() && LND.container().is_none());
    companion(&["status"]).exits(0);
    witness.nothing_else_happened();
}

/// Row 10: without write permission on the unit directory all companions keep running, and the cause is reported.
#[test]
fn inaccessible_unit_directory_is_reported_without_a_restart() {
    let witness = Witness::beside(&[LND]);
    let old = LND.container();
    LND.edit_unit().good();
    archy(&["chmod", "0500", UNITS]).good();
    let opened = undo("chmod 0700 /home/archy/.config/containers/systemd");
    let daemon = Daemon::resyncing(1);
    logged_by(&daemon, "ermission");
    throughout("it runs on", 3, || LND.container() == old && LND.is_up());

    drop(opened);
    all_well();
    assert!(LND.unit_text().contains("\nRestartSec=10\n"));
    assert_eq!(LND.starts(&witness.since), 1);
    witness.nothing_else_happened();
}

/// Row 12: a unit directory behind a link of the same user is used.
#[test]
fn unit_directory_behind_a_link_of_the_same_user_is_used() {
    let witness = Witness::beside(&[]);
    let _daemon = Daemon::resyncing(1);
    let _moved_back = undo(
        "cd /home/archy/.config/containers && test -L systemd && rm systemd &&
         mv /home/archy/dotfiles systemd",
    );
    by_root(
        "cd /home/archy/.config/containers && mv systemd /home/archy/dotfiles
         archy ln -s /home/archy/dotfiles systemd",
    );
    fs::remove_file(LND.unit()).unwrap();
    until("its unit is back", 30, || fs::metadata(LND.unit()).ok());
    all_well();
    witness.nothing_else_happened();
}

/// Row 12: a link to another user's directory is refused, and nothing is written there.
#[test]
fn unit_directory_behind_a_link_to_another_user_is_refused() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(1);
    let moved_back = undo(
        "cd /home/archy/.config/containers && test -L systemd && rm systemd && mv saved systemd
         rm -rf /home/mallory/units",
    );
    by_root(
        "cd /home/archy/.config/containers && mv systemd saved
         install -d -o 1001 -g 1001 -m 0777 /home/mallory/units && chmod 0711 /home/mallory
         archy ln -s /home/mallory/units systemd",
    );
    logged_by(&daemon, "belongs to user 1001");
    assert_eq!(companion(&["status"]).status, Some(1));
    throughout("all run on", 3, || ALL.into_iter().all(Companion::is_up));
    assert_eq!(fs::read_dir("/home/mallory/units").unwrap().count(), 0);

    drop(moved_back);
    all_well();
    witness.nothing_else_happened();
}

/// Row 13: a directory, a pipe or a device at the unit's name is a conflict that blocks no other companion.
#[test]
fn non_file_at_a_unit_path_is_kept_and_blocks_no_other_companion() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(1);
    let pid = daemon.pid();
    let container = LND.container();
    let _removed = undo(format!("test -f {0} || rm -rf {0}", LND.unit()));
    for (make, what) in [("mkdir", "directory"), ("mkfifo", "pipe"), ("mknod", "device")] {
        let end = if make == "mknod" { " c 1 3" } else { "" };
        // Stopped, because the daemon would be faster to restore the unit, and systemd would then block on the pipe.
        by_root(&format!(
            "kill -STOP {pid}; rm {0}; {make} {0}{end}; chown -h archy: {0}; kill -CONT {pid}",
            LND.unit()
        ));
        held(LND, "conflict", what);
        // Other companions are repaired meanwhile.
        fs::remove_file(ELECTRS.unit()).unwrap();
        until("another's unit is back", 30, || fs::metadata(ELECTRS.unit()).ok());
        assert!(!fs::symlink_metadata(LND.unit()).unwrap().is_file());
        by_root(&format!("rm -r {}", LND.unit()));
        // Also loaded: systemd would block on the next pipe while it reloads.
        all_well();
    }
    assert_eq!(LND.container(), container, "it was seen to be true all the while");
    witness.nothing_else_happened();
}

/// Row 15: a unit without its ownership label is unmanaged; its container is left alone.
#[test]
fn unit_without_the_ownership_label_is_a_conflict_and_is_kept() {
    let witness = Witness::beside(&[LND]);
    let _daemon = Daemon::resyncing(1);
    let (old, text) = (LND.container(), LND.unit_text());
    // Nor its description, which identifies units of the previous manager.
    let unmarked = text.replace("[X-Companion]", "[X-Mine]").replace("Archipelago companion", "My");
    // Atomically, and not as the daemon would write it.
    archy(&[
        "sh",
        "-c",
        "printf %s \"$1\" >\"$2.new\" && mv \"$2.new\" \"$2\"",
        "sh",
        &unmarked,
        &LND.unit(),
    ])
    .good();
    let unmarked = LND.unit_text();
    held(LND, "conflict", "without the ownership label");
    throughout("it is left alone", 3, || LND.unit_text() == unmarked && LND.container() == old);

    fs::remove_file(LND.unit()).unwrap();
    all_well();
    assert_eq!(LND.container(), old);
    witness.nothing_else_happened();
}

/// Row 17: an empty unit, as after a power cut, is rewritten; one with other bytes is unmanaged.
#[test]
fn empty_unit_is_restored_and_random_bytes_are_kept() {
    let witness = Witness::beside(&[LND]);
    let _daemon = Daemon::resyncing(1);
    archy(&["truncate", "--size=0", &LND.unit()]).good();
    until("it is restored", 30, || LND.unit_text().contains("[X-Companion]").then_some(()));
    all_well();
    assert!(LND.starts(&witness.since) <= 1);

    let container = LND.container();
    archy(&["dd", "if=/dev/urandom", &format!("of={}", LND.unit()), "bs=512", "count=2"]).good();
    let bytes = fs::read(LND.unit()).unwrap();
    held(LND, "conflict", "without the ownership label");
    throughout("it is left alone", 3, || fs::read(LND.unit()).unwrap() == bytes);
    assert_eq!(LND.container(), container);
    fs::remove_file(LND.unit()).unwrap();
    all_well();
    witness.nothing_else_happened();
}

/// Row 18: a unit writable by others gets its mode fixed without a reload or restart.
#[test]
fn unit_mode_is_fixed_without_a_reload_or_restart() {
    let witness = Witness::beside(&[]);
    let _daemon = Daemon::resyncing(1);
    let reloads = witness.reloads();
    archy(&["chmod", "0666", &LND.unit()]).good();
    until("it is closed again", 30, || {
        let mode = fs::metadata(LND.unit()).unwrap().permissions().mode();
        (mode & 0o777 == 0o644).then_some(())
    });
    all_well();
    assert_eq!(witness.reloads(), reloads);
    witness.nothing_else_happened();
}

/// Row 19: file times are ignored.
#[test]
fn unit_modification_time_is_ignored() {
    let witness = Witness::beside(&[]);
    let _daemon = Daemon::resyncing(1);
    let reloads = witness.reloads();
    for date in ["1970-01-02", "2037-12-31"] {
        archy(&["touch", "-d", date, &LND.unit(), &ELECTRS.unit()]).good();
        let time = || fs::metadata(LND.unit()).unwrap().modified().unwrap();
        let touched = time();
        throughout("nothing is done", 3, || time() == touched);
    }
    assert_eq!(witness.reloads(), reloads);
    all_well();
    witness.nothing_else_happened();
}

/// Row 23: no process acts on an unreadable record.
#[test]
fn damaged_desired_state_stops_and_removes_nothing() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(1);
    let pid = daemon.pid();
    let file = format!("{STATE}/desired.json");
    let good = fs::read(&file).unwrap();
    for damaged in [&good[..good.len() / 2], b"", b"\0\0\0\0", b"{\"version\": 1}"] {
        fs::write(&file, damaged).unwrap();
        logged_by(&daemon, "desired.json");
        for command in [&["status"][..], &["reconcile"], &["install", "lnd"], &["remove", "lnd"]] {
            let ran = companion(command);
            assert_eq!(ran.status, Some(1), "{ran}");
            assert!(ran.stderr.contains("desired.json"), "{ran}");
        }
        throughout("all run on", 2, || ALL.into_iter().all(Companion::is_up));
        assert!(fs::read(&file).unwrap() == damaged, "it is left as it is");
    }
    fs::write(&file, &good).unwrap();
    all_well();
    assert_eq!(daemon.pid(), pid);
    witness.nothing_else_happened();
}

/// Row 24: orphans of a lost record are reported, neither removed nor desired.
#[test]
fn lost_desired_state_leaves_orphans_running() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(1);
    fs::remove_file(format!("{STATE}/desired.json")).unwrap();
    logged_by(&daemon, "not in the desired state");
    ALL.into_iter().for_each(|one| drop(held(one, "orphan", "")));
    throughout("all run on", 3, || ALL.into_iter().all(Companion::is_up));
    witness.bystanders_run_on();

    companion(&["install", "bitcoin-knots", "lnd", "electrumx"]).exits(0);
    all_well();
    witness.nothing_else_happened();
}

/// Row 25: an overflow of the event queue loses nothing, because events are only hints.
#[test]
fn changes_without_events_are_found_by_the_resync() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(5);
    let pid = daemon.pid().to_string();
    let _woken = undo(format!("kill -CONT {pid}"));
    by_root(&format!("kill -STOP {pid}"));
    // The queue holds 16,384 events (inotify(7)); each of these files causes two.
    let burst = "cd \"$1\" && i=0; while [ $i -lt 10000 ]; do : >burst-$i; i=$((i+1)); done; \
                 find . -name 'burst-*' -delete";
    archy(&["sh", "-c", burst, "sh", UNITS]).good();
    fs::remove_file(LND.unit()).unwrap();
    let begun = std::time::Instant::now();
    by_root(&format!("kill -CONT {pid}"));
    until("its unit is back", 30, || fs::metadata(LND.unit()).ok());
    measured("unit back whose deletion was told to nobody", begun);
    all_well();
    witness.nothing_else_happened();
}
