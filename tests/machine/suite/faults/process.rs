//! Faults of companion's processes: killed, shut down, concurrent.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant};

use super::TIMEOUT;
use super::witness::Witness;
use crate::daemon::Daemon;
use crate::guest::{by_root, log_value, number, spawn_archy, systemctl, throughout, until};
use crate::node::{
    COMPANION, ELECTRS, LND, STATE, UNITS, all_ready, companion, install_all, is_recorded,
    stale_files,
};
use crate::random::Random;

/// signal(7).
const SIGTERM: i32 = 15;

/// The number of kills of a command.
const KILLS: u64 = 50;

/// Random numbers by the seed of the run, which is printed, so that a failure is reproducible.
fn random() -> Random {
    let seed = number("COMPANION_SEED", 1);
    log_value("seed", &seed.to_string());
    Random::seeded(seed)
}

/// Fails unless all is well and no file of an interrupted process is left.
fn nothing_is_left() {
    all_ready(TIMEOUT);
    // The start of a daemon removes stale files.
    drop(Daemon::resyncing(1));
    let written = [UNITS, STATE, "/var/lib/archipelago/bitcoin-ui"];
    assert_eq!(stale_files(&written), Vec::<String>::new());
}

/// Row 77: a command killed fifty times at any point leaves no stale file.
#[test]
fn fifty_killed_commands_leave_no_stale_file() {
    let witness = Witness::excluding(&[LND, ELECTRS]);
    let mut random = random();
    for reconcile in 0..KILLS {
        match reconcile % 4 {
            0 => drop(fs::remove_file(LND.unit())),
            1 => drop(ELECTRS.edit_unit()),
            2 => drop(systemctl(&["stop", "--no-block", &LND.service()])),
            _ => drop(fs::remove_file(ELECTRS.unit())),
        }
        let command: &[&str] = match reconcile % 5 {
            4 => &[COMPANION, "remove", "electrumx"],
            3 => &[COMPANION, "install", "electrumx"],
            _ => &[COMPANION, "reconcile"],
        };
        let mut child = spawn_archy(command);
        thread::sleep(Duration::from_millis(random.below(600)));
        // A run that ended by itself is acceptable.
        let _killed = child.kill();
        child.wait().unwrap();
    }
    install_all().exits(0);
    nothing_is_left();
    witness.nothing_else_happened();
}

/// Row 77: on SIGTERM during a reconcile, a command exits within seconds, and its recorded intent is completed.
#[test]
fn command_shuts_down_quickly_on_sigterm() {
    let witness = Witness::excluding(&[LND]);
    let (mut random, mut by_itself) = (random(), 0);
    for _ in 0..8 {
        companion(&["remove", "lnd"]).exits(0);
        let mut child = spawn_archy(&[COMPANION, "install", "lnd"]);
        thread::sleep(Duration::from_millis(random.below(900)));
        let started = Instant::now();
        by_root(&format!("kill -TERM {} || true", child.id()));
        let status = until("it ends", 30, || child.try_wait().unwrap());
        log_value("end of a command after SIGTERM", &format!("{:?}", started.elapsed()));
        // Before it handles signals, SIGTERM kills it like any program.
        let exited = matches!(status.code(), Some(0 | 1));
        by_itself += usize::from(exited);
        assert!(exited || status.signal() == Some(SIGTERM), "{status}");
        companion(&["reconcile"]).exits(0);
        assert!(if is_recorded("lnd") { LND.is_up() } else { LND.is_absent() }, "{status}");
    }
    assert!(by_itself > 0, "none came as far as to listen");
    companion(&["install", "lnd"]).exits(0);
    nothing_is_left();
    witness.nothing_else_happened();
}

/// Row 76: installs and removals by two processes while the daemon runs; a removal that was recorded last is final.
#[test]
fn concurrent_installs_and_removals_resurrect_no_app() {
    let witness = Witness::excluding(&[LND, ELECTRS]);
    let _daemon = Daemon::resyncing(1);
    thread::scope(|scope| {
        for (app, one) in [("lnd", LND), ("electrumx", ELECTRS)] {
            scope.spawn(move || {
                for _ in 0..5 {
                    companion(&["install", app]).exits(0);
                    // Its repair is under way when the removal comes.
                    fs::remove_file(one.unit()).unwrap();
                    companion(&["remove", app]).exits(0);
                    until("it is removed", 15, || one.is_absent().then_some(()));
                    throughout("it stays removed", 1, || one.is_absent());
                }
            });
        }
    });
    throughout("both stay removed", 3, || LND.is_absent() && ELECTRS.is_absent());
    install_all().exits(0);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}
