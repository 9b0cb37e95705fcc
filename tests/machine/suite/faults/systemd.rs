//! Faults of the service manager: its bus, its jobs, its limits, and actions of other processes.

use std::fs;
use std::time::Instant;

use super::TIMEOUT;
use super::witness::Witness;
use crate::daemon::Daemon;
use crate::guest::{archy, by_root, measured, property, root, systemctl, undo, until, write};
use crate::node::{
    ALL, Companion, ELECTRS, LND, USER_UNITS, all_ready, all_up, companion, logged_by_the_daemon,
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

/// Rows 27, 32 and 45: a killed bus, reloads by others, and a manager that executes itself again stop neither the
/// daemon nor a companion. Each comes during the daemon's own calls, which a deleted unit causes.
#[test]
fn disturbed_manager_restarts_nothing() {
    let witness = Witness::excluding(&[]);
    let daemon = Daemon::resyncing(1);
    let pid = daemon.pid();
    for fault in [
        "systemctl --user kill --signal=KILL dbus.service",
        "systemctl --user daemon-reexec",
        "for i in $(seq 20); do systemctl --user daemon-reload & done; wait",
    ]
    .repeat(2)
    {
        let script = format!("rm \"$1\"; {fault}");
        archy(&["sh", "-c", &script, "sh", &LND.unit()]);
        until(&format!("its unit is back: {fault}"), 60, || fs::metadata(LND.unit()).ok());
        until("archy's manager answers", 60, || {
            (systemctl(&["is-active", "companion.service"]).status == Some(0)).then_some(())
        });
    }
    all_ready(TIMEOUT);
    assert_eq!(daemon.pid(), pid);
    witness.nothing_else_happened();
}

/// Row 35: jobs that another process cancels are started again afterwards.
#[test]
fn cancelled_jobs_are_started_again() {
    let witness = Witness::excluding(&[LND]);
    let slow = format!("{USER_UNITS}/slow.service");
    let _removed = undo(format!("rm -f {slow}; archy systemctl --user daemon-reload"));
    // A start that waits for another one: its job is cancelled before it runs.
    write(&slow, "[Service]\nType=oneshot\nExecStart=/bin/sleep 4\n");
    drop_in(LND, "[Unit]\nWants=slow.service\nAfter=slow.service\n");
    let _daemon = Daemon::resyncing(1);
    systemctl(&["stop", &LND.service()]).good();
    for _ in 0..2 {
        let job = until("the daemon has started a job", 60, || {
            let listed = systemctl(&["list-jobs", "--no-legend"]).good();
            let job = listed.lines().find(|line| line.contains(&LND.service()))?;
            job.split_whitespace().next().map(str::to_owned)
        });
        systemctl(&["cancel", &job]).good();
    }
    assert!(!LND.is_active());
    LND.comes_up(120);
    without_drop_in(LND);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}

/// Row 38: a service that never finishes its start is stopped by its timeout, reported, and retried.
#[test]
fn hanging_start_is_reported_and_blocks_no_other_companion() {
    let witness = Witness::excluding(&[LND]);
    let _daemon = Daemon::resyncing(1);
    let stuck = "[Service]\nTimeoutStartSec=4\nExecStartPre=/bin/sleep infinity\nRestart=no\n";
    drop_in(LND, stuck);
    systemctl(&["stop", &LND.service()]).good();
    until("starting", 30, || (LND.property("SubState") == "start-pre").then_some(()));
    // Another companion is repaired meanwhile.
    ELECTRS.loses_its_unit();
    logged_by_the_daemon("archy-lnd-ui");
    until("its start has failed", 60, || (LND.property("Result") == "timeout").then_some(()));
    assert_eq!(LND.status().1, Some(1));
    without_drop_in(LND);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}

/// Row 44: an unmanaged service of the same name is a conflict before the unit is written.
#[test]
fn existing_service_is_a_conflict_before_the_unit_is_written() {
    let witness = Witness::excluding(&[LND]);
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

/// Rows 26 and 46: without linger all services stop with the last session; with it all are restarted automatically.
#[test]
fn stopped_user_manager_is_reported_and_restarts_all_companions() {
    let witness = Witness::excluding(&ALL);
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
    let started = Instant::now();
    until("archy's manager answers", 60, || {
        systemctl(&["show", "--property=Version"]).status.filter(|status| *status == 0)
    });
    all_up(90);
    measured("all companions up after the user's manager came back", started);
    assert_eq!(property("companion.service", "ActiveState"), "inactive", "with no one's help");
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}

/// Row 50: a thousand unmanaged units do not slow down a reconcile, and stay unchanged.
#[test]
fn thousand_unmanaged_units_slow_nothing_down() {
    let witness = Witness::excluding(&[]);
    let _removed = undo(format!(
        "archy systemctl --user stop 'crowd-*.target'
         rm -f {USER_UNITS}/crowd-*.target
         archy systemctl --user daemon-reload"
    ));
    let script = "cd \"$1\" && for i in $(seq 1000); do echo '[Unit]' >crowd-$i.target; done
                  systemctl --user daemon-reload
                  systemctl --user start $(seq -f crowd-%g.target 1000)";
    archy(&["sh", "-c", script, "sh", USER_UNITS]).good();
    let started = Instant::now();
    companion(&["status"]).exits(0);
    measured("`companion status` with 1,000 other units", started);
    let _daemon = Daemon::resyncing(1);
    measured("unit back with 1,000 other units", LND.loses_its_unit());
    all_ready(TIMEOUT);
    assert_eq!(property("crowd-1000.target", "ActiveState"), "active");
    witness.nothing_else_happened();
}
