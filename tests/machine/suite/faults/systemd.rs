//! Faults of the service manager: its bus, its jobs, its limits, and actions of other processes.

use std::fs;
use std::thread;
use std::time::Instant;

use super::witness::Witness;
use super::{all_well, logged_by};
use crate::daemon::Daemon;
use crate::guest::{
    archy, by_root, measured, property, root, systemctl, throughout, undo, until, write,
};
use crate::node::{
    ALL, COMPANION, Companion, ELECTRS, LND, Moment, UNITS, USER_UNITS, clean, companion,
};

/// Adds a drop-in to a companion's service, and reloads.
fn drop_in(one: Companion, text: &str) {
    write(&format!("{USER_UNITS}/{}.d/fault.conf", one.service()), text);
    systemctl(&["daemon-reload"]).good();
}

fn without_drop_in(one: Companion) {
    fs::remove_dir_all(format!("{USER_UNITS}/{}.d", one.service())).unwrap();
    systemctl(&["daemon-reload"]).good();
}

/// Row 26: without a bus the command fails with the exit status for a missing prerequisite, and does nothing.
#[test]
fn missing_bus_is_reported_and_changes_nothing() {
    let witness = Witness::beside(&[]);
    for command in ["status", "reconcile", "run"] {
        let ran =
            archy(&["env", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/none", COMPANION, command]);
        let ran = ran.exits(3);
        assert!(ran.stderr.contains("/run/none") && ran.stderr.contains("doctor"), "{ran}");
    }
    witness.nothing_else_happened();
}

/// Row 27: a repeatedly killed bus stops neither the daemon nor a companion.
#[test]
fn killed_bus_causes_no_restart() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(1);
    let pid = daemon.pid();
    for _ in 0..5 {
        // Killed during the daemon's own calls, which a deleted unit causes.
        let bus = property("dbus.service", "MainPID");
        fs::remove_file(LND.unit()).unwrap();
        root(&["kill", "-KILL", &bus]).good();
        until("its unit is back", 60, || fs::metadata(LND.unit()).ok());
        until("another bus runs", 60, || {
            let ran = systemctl(&["show", "--value", "--property=MainPID", "dbus.service"]);
            let pid = ran.stdout.trim().to_owned();
            (ran.status == Some(0) && pid != "0" && pid != bus).then_some(())
        });
    }
    until("archy's manager answers", 60, || {
        (systemctl(&["is-active", "companion.service"]).status == Some(0)).then_some(())
    });
    all_well();
    assert_eq!(daemon.pid(), pid);
    witness.nothing_else_happened();
}

/// Row 29: rate-limited reloads are refused, reported, and retried.
#[test]
fn rate_limited_reload_is_retried() {
    let witness = Witness::beside(&[LND]);
    let _lifted = undo(
        "rm -f /etc/systemd/user.conf.d/limit.conf
         for _ in $(seq 40); do archy systemctl --user daemon-reexec && break; sleep 1; done
         until archy systemctl --user daemon-reload; do sleep 1; done",
    );
    by_root(
        "mkdir -p /etc/systemd/user.conf.d
         printf '[Manager]\nReloadLimitIntervalSec=20s\nReloadLimitBurst=1\n' \
             >/etc/systemd/user.conf.d/limit.conf",
    );
    let _daemon = Daemon::resyncing(1);
    systemctl(&["daemon-reexec"]).good();
    // Whether or not the previous one counts, the next does.
    let _counted = systemctl(&["daemon-reload"]);
    assert_ne!(systemctl(&["daemon-reload"]).status, Some(0), "the limit is in force");
    // Unlike a lost file, a changed unit has to be loaded.
    let begun = Instant::now();
    LND.edit_unit().good();
    until("it is restored", 30, || LND.unit_is_restored());
    until("it is loaded", 90, || (LND.status().1 == Some(0)).then_some(()));
    measured("unit loaded in spite of a limit of one reload in 20 s", begun);
    assert_eq!(LND.starts(&witness.since), 1);
    witness.nothing_else_happened();
}

/// Rows 32 and 34: concurrent external reloads, while units change and services start.
#[test]
fn units_converge_during_two_reload_loops() {
    let witness = Witness::beside(&[LND]);
    let _daemon = Daemon::resyncing(1);
    let loops: Vec<_> = (0..2)
        .map(|_| {
            let script = "for i in $(seq 60); do systemctl --user daemon-reload || true; done";
            thread::spawn(move || archy(&["sh", "-c", script]))
        })
        .collect();
    for _ in 0..3 {
        let text = LND.unit_text();
        LND.edit_unit().good();
        until("it is restored", 60, || {
            let now = LND.unit_text();
            LND.unit_is_restored().filter(|()| now != text)
        });
        systemctl(&["stop", &LND.service()]);
    }
    loops.into_iter().for_each(|one| drop(one.join().unwrap()));
    all_well();
    assert_eq!(LND.property("RestartUSec"), "10s");
    witness.nothing_else_happened();
}

/// Row 35: jobs that another process cancels are started again afterwards.
#[test]
fn cancelled_jobs_are_started_again() {
    let witness = Witness::beside(&[LND]);
    let slow = format!("{USER_UNITS}/slow.service");
    let _removed = undo(format!("rm -f {slow}; archy systemctl --user daemon-reload"));
    // A start that waits for another one: its job is cancelled before it runs.
    write(&slow, "[Service]\nType=oneshot\nExecStart=/bin/sleep 4\n");
    drop_in(LND, "[Unit]\nWants=slow.service\nAfter=slow.service\n");
    let _daemon = Daemon::resyncing(1);
    systemctl(&["stop", &LND.service()]).good();
    for _ in 0..2 {
        let job = until("the daemon has begun a job", 60, || {
            let listed = systemctl(&["list-jobs", "--no-legend"]).good();
            let job = listed.lines().find(|line| line.contains(&LND.service()))?;
            job.split_whitespace().next().map(str::to_owned)
        });
        systemctl(&["cancel", &job]).good();
    }
    assert!(!LND.is_active());
    until("it is up again", 120, || LND.is_up().then_some(()));
    without_drop_in(LND);
    all_well();
    witness.nothing_else_happened();
}

/// Row 38: a service that never finishes its start is stopped by its timeout, reported, and retried.
#[test]
fn hanging_start_is_reported_and_blocks_no_other_companion() {
    let witness = Witness::beside(&[LND]);
    let daemon = Daemon::resyncing(1);
    let stuck = "[Service]\nTimeoutStartSec=4\nExecStartPre=/bin/sleep infinity\nRestart=no\n";
    drop_in(LND, stuck);
    systemctl(&["stop", &LND.service()]).good();
    until("starting", 30, || (LND.property("SubState") == "start-pre").then_some(()));
    // Another companion is repaired meanwhile.
    fs::remove_file(ELECTRS.unit()).unwrap();
    until("another's unit is back", 30, || fs::metadata(ELECTRS.unit()).ok());
    logged_by(&daemon, "archy-lnd-ui");
    until("its start has failed", 60, || (LND.property("Result") == "timeout").then_some(()));
    assert_eq!(LND.status().1, Some(1));
    without_drop_in(LND);
    all_well();
    witness.nothing_else_happened();
}

/// Row 39: a slow stop is waited for, and the removal leaves nothing.
#[test]
fn removal_waits_for_a_slow_stop() {
    let witness = Witness::beside(&[LND]);
    drop_in(LND, "[Service]\nTimeoutStopSec=6\nExecStop=/bin/sleep infinity\n");
    let begun = Instant::now();
    companion(&["remove", "lnd"]).exits(0);
    measured("removal of a companion whose stop hangs for 6 s", begun);
    assert!(LND.unit_text().is_empty() && LND.container().is_none());
    assert_eq!(LND.property("ActiveState"), "inactive");
    witness.nothing_else_happened();
    without_drop_in(LND);
}

/// Row 42: a drop-in of the operator is intended: no reload, no restart, no removal.
#[test]
fn drop_ins_of_the_operator_are_kept() {
    let witness = Witness::beside(&[]);
    let _daemon = Daemon::resyncing(1);
    let quadlet = format!("{}.d", LND.unit());
    write(&format!("{quadlet}/mine.conf"), "[Container]\nLabel=mine=yes\n");
    write(&format!("{USER_UNITS}/{}.d/mine.conf", LND.service()), "[Service]\nNice=3\n");
    systemctl(&["daemon-reload"]).good();
    let reloads = witness.reloads();
    throughout("it runs on", 4, || LND.is_up());
    assert_eq!(witness.reloads(), reloads);
    assert_eq!(LND.property("Nice"), "3");
    all_well();
    fs::remove_dir_all(quadlet).unwrap();
    without_drop_in(LND);
    witness.nothing_else_happened();
}

/// Row 43: a unit of the same name with precedence in Quadlet is a conflict, and causes no reload.
#[test]
fn shadowing_unit_is_reported_and_kept() {
    let witness = Witness::beside(&[]);
    let shadow = "/run/user/1000/containers/systemd/archy-lnd-ui.container";
    let _removed = undo(format!("rm -f {shadow}"));
    let daemon = Daemon::resyncing(1);
    write(shadow, "[Container]\nImage=localhost/companion-base:latest\n");
    systemctl(&["daemon-reload"]).good();
    logged_by(&daemon, shadow);
    let reloads = witness.reloads();
    throughout("it runs on", 6, || LND.is_up());
    assert!(witness.reloads() <= reloads + 1, "at most one more, to see whether it is gone");
    assert!(fs::exists(shadow).unwrap());

    fs::remove_file(shadow).unwrap();
    systemctl(&["daemon-reload"]).good();
    all_well();
    witness.nothing_else_happened();
}

/// Row 44: an unmanaged service of the same name is a conflict before the unit is written.
#[test]
fn existing_service_is_a_conflict_before_the_unit_is_written() {
    let witness = Witness::beside(&[LND]);
    companion(&["remove", "lnd"]).exits(0);
    let theirs = format!("{USER_UNITS}/{}", LND.service());
    let _removed = undo(format!(
        "rm -f {theirs}; archy systemctl --user stop {0}
         archy systemctl --user daemon-reload",
        LND.service()
    ));
    write(&theirs, "[Service]\nExecStart=/bin/sleep infinity\n");
    systemctl(&["daemon-reload"]).good();
    systemctl(&["start", &LND.service()]).good();
    let pid = LND.property("MainPID");
    let ran = companion(&["install", "lnd"]).exits(1);
    assert!(ran.words().contains(theirs.as_str()), "the place of the other unit: {ran}");
    assert!(LND.unit_text().is_empty(), "{}", LND.unit_text());
    companion(&["remove", "lnd"]);
    assert_eq!(LND.property("MainPID"), pid, "it was neither stopped nor restarted");
    witness.nothing_else_happened();
}

/// Row 45: the daemon survives a daemon-reexec of the service manager.
#[test]
fn daemon_reexec_restarts_nothing() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(1);
    let pid = daemon.pid();
    for _ in 0..3 {
        fs::remove_file(LND.unit()).unwrap();
        systemctl(&["daemon-reexec"]).good();
        until("its unit is back", 60, || fs::metadata(LND.unit()).ok());
    }
    all_well();
    assert_eq!(daemon.pid(), pid);
    witness.nothing_else_happened();
}

/// Rows 26 and 46: without linger all services stop with the last session; with it all are restarted automatically.
#[test]
fn stopped_user_manager_is_reported_and_restarts_all_companions() {
    let witness = Witness::beside(&ALL);
    systemctl(&["disable", "companion.service"]).good();
    let _enabled = undo("archy systemctl --user enable companion.service");
    let lingers = undo("loginctl enable-linger archy");
    by_root("loginctl disable-linger archy");
    until("archy's manager has ended", 60, || {
        let ran = root(&["systemctl", "is-active", "user@1000.service"]);
        (ran.stdout.trim() == "inactive").then_some(())
    });
    for command in ["status", "reconcile"] {
        let ran = companion(&[command]).exits(3);
        assert!(ran.stderr.contains("the user's systemd cannot be reached"), "{ran}");
    }
    let ran = companion(&["doctor"]).exits(3);
    assert!(ran.stdout.contains("loginctl enable-linger"), "{ran}");

    drop(lingers);
    let begun = Instant::now();
    until("archy's manager answers", 60, || {
        systemctl(&["show", "--property=Version"]).status.filter(|status| *status == 0)
    });
    until("all are up", 90, || ALL.into_iter().all(Companion::is_up).then_some(()));
    measured("all companions up after the user's manager came back", begun);
    assert_eq!(property("companion.service", "ActiveState"), "inactive", "with no one's help");
    all_well();
    witness.nothing_else_happened();
}

/// Row 50: a thousand unmanaged units do not slow down a reconcile, and stay unchanged.
#[test]
fn thousand_unmanaged_units_slow_nothing_down() {
    let witness = Witness::beside(&[]);
    let _removed = undo(
        "archy systemctl --user stop 'crowd-*.target'
         rm -f /home/archy/.config/systemd/user/crowd-*.target
         archy systemctl --user daemon-reload",
    );
    let script = "cd \"$1\" && for i in $(seq 1000); do echo '[Unit]' >crowd-$i.target; done
                  systemctl --user daemon-reload
                  systemctl --user start $(seq -f crowd-%g.target 1000)";
    archy(&["sh", "-c", script, "sh", USER_UNITS]).good();
    assert_eq!(property("crowd-1000.target", "ActiveState"), "active");
    let begun = Instant::now();
    companion(&["status"]).exits(0);
    measured("`companion status` beside 1,000 other units", begun);
    let _daemon = Daemon::resyncing(1);
    let begun = Instant::now();
    fs::remove_file(LND.unit()).unwrap();
    until("its unit is back", 30, || fs::metadata(LND.unit()).ok());
    measured("unit back beside 1,000 other units", begun);
    all_well();
    assert_eq!(property("crowd-1000.target", "ActiveState"), "active");
    witness.nothing_else_happened();
}

/// Fifty existing units are unmanaged.
#[test]
fn install_keeps_unmanaged_units_in_a_full_unit_directory() {
    clean();
    let since = Moment::now();
    let _removed = undo(format!("rm -f {UNITS}/crowd-*.container"));
    let script = "mkdir -p \"$1\" && cd \"$1\" && for i in $(seq 50); do \
        printf '[Container]\nImage=localhost/companion-base:latest\n' >crowd-$i.container; done";
    archy(&["sh", "-c", script, "sh", UNITS]).good();
    companion(&["install", "lnd"]).exits(0);
    assert!(LND.is_up());
    assert_eq!(LND.starts(&since), 1);
    companion(&["status"]).exits(0);
    companion(&["remove", "lnd"]).exits(0);
    assert_eq!(fs::read_dir(UNITS).unwrap().count(), 50);
}
