//! Faults of our own processes: killed, told to end, two at once, of another version.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::witness::Witness;
use super::{all_well, by_root, told_by};
use crate::daemon::Daemon;
use crate::guest::{archy, spawn_archy, systemctl, tell, throughout, until};
use crate::node::{
    ALL, APPS, COMPANION, Companion, ELECTRS, LND, STATE, UNITS, companion, rotate_password,
};

/// How often a command is killed.
const KILLS: u64 = 50;

/// Whether nothing of a companion is left.
fn is_gone(one: Companion) -> bool {
    !fs::exists(one.unit()).unwrap()
        && one.property("ActiveState") == "inactive"
        && one.container().is_none()
}

/// What cut-off writes could leave: anything but units, records and locks.
fn leftovers() -> Vec<String> {
    let script =
        "find \"$@\" -name '.*' -not -name . -o -name '*.tmp*' -o -path '*/companion-stage-*/*'";
    let dirs = [UNITS, STATE, "/var/lib/archipelago/bitcoin-ui", "/run/user/1000"];
    let found = archy(&[&["sh", "-c", script, "sh"], &dirs[..]].concat()).stdout;
    found
        .lines()
        .filter(|path| {
            path.contains("companion")
                || path.contains("archipelago")
                || path.contains("containers/systemd")
        })
        .map(str::to_owned)
        .collect()
}

/// The next of a row of numbers that looks like chance and is the same each time (Knuth's MMIX).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Row 77: fifty times killed at any point of its work, the command leaves nothing that stays.
#[test]
fn a_command_that_is_killed_fifty_times_leaves_nothing_that_stays() {
    let witness = Witness::beside(&[LND, ELECTRS]);
    let mut seed = 20_261_123;
    tell("seed of the kills", &seed.to_string());
    for round in 0..KILLS {
        match round % 4 {
            0 => drop(fs::remove_file(LND.unit())),
            1 => drop(archy(&["sed", "-i", "s/^RestartSec=.*/RestartSec=7/", &ELECTRS.unit()])),
            2 => drop(systemctl(&["stop", "--no-block", &LND.service()])),
            _ => drop(fs::remove_file(ELECTRS.unit())),
        }
        let command: &[&str] = match round % 5 {
            4 => &[COMPANION, "remove", "electrumx"],
            3 => &[COMPANION, "install", "electrumx"],
            _ => &[COMPANION, "reconcile"],
        };
        let mut child = spawn_archy(command);
        thread::sleep(Duration::from_millis(next(&mut seed) % 600));
        // One that ended by itself is as good.
        let _killed = child.kill();
        child.wait().unwrap();
    }
    companion(&[&["install"], &APPS[..]].concat()).exits(0);
    all_well();
    // A daemon's start sweeps what is left.
    drop(Daemon::ticking(1));
    assert_eq!(leftovers(), Vec::<String>::new());
    witness.nothing_else_happened();
}

/// Row 77: the daemon, killed and told to end in the midst of its work, comes back and goes on.
#[test]
fn a_daemon_that_is_killed_in_the_midst_of_repairs_goes_on_where_it_was() {
    let witness = Witness::beside(&[LND]);
    let daemon = Daemon::ticking(1);
    let mut seed = 11_232_026;
    for round in 0..8 {
        archy(&["sed", "-i", "s/^RestartSec=.*/RestartSec=7/", &LND.unit()]);
        thread::sleep(Duration::from_millis(next(&mut seed) % 400));
        if round % 2 == 0 {
            daemon.crash();
        } else {
            daemon.restart();
        }
    }
    until("it is restored", 60, || LND.unit_text().contains("\nRestartSec=10\n").then_some(()));
    all_well();
    drop(daemon);
    assert_eq!(leftovers(), Vec::<String>::new());
    witness.nothing_else_happened();
}

/// Row 77: told to end in the midst of a round, a command ends within seconds, and says what is recorded.
#[test]
fn a_command_that_is_told_to_end_ends_soon_and_well() {
    let witness = Witness::beside(&[LND]);
    let mut seed = 7;
    for _ in 0..8 {
        companion(&["remove", "lnd"]).exits(0);
        let mut child = spawn_archy(&[COMPANION, "install", "lnd"]);
        thread::sleep(Duration::from_millis(next(&mut seed) % 900));
        let begun = Instant::now();
        by_root(&format!("kill -TERM {} || true", child.id()));
        let status = child.wait().unwrap();
        assert!(matches!(status.code(), Some(0 | 1)) || status.code().is_none(), "{status}");
        tell("end of a command that was told to", &format!("{:?}", begun.elapsed()));
    }
    companion(&["install", "lnd"]).exits(0);
    all_well();
    assert_eq!(leftovers(), Vec::<String>::new());
    witness.nothing_else_happened();
}

/// Row 76: installs and removals by two processes beside the daemon; what was removed last stays removed.
#[test]
fn installs_and_removals_by_two_processes_beside_the_daemon_resurrect_nothing() {
    let witness = Witness::beside(&[LND, ELECTRS]);
    let _daemon = Daemon::ticking(1);
    let loops: Vec<_> = [("lnd", LND), ("electrumx", ELECTRS)]
        .into_iter()
        .map(|(app, one)| {
            thread::spawn(move || {
                for _ in 0..5 {
                    companion(&["install", app]).exits(0);
                    companion(&["remove", app]).exits(0);
                    throughout("it stays gone", 1, || is_gone(one));
                }
            })
        })
        .collect();
    loops.into_iter().for_each(|one| one.join().unwrap());
    throughout("both stay gone", 3, || is_gone(LND) && is_gone(ELECTRS));
    companion(&["install", "lnd", "electrumx"]).exits(0);
    all_well();
    witness.nothing_else_happened();
}

/// Row 76: contrary wishes for one app at once: the later one is what becomes true.
#[test]
fn contrary_wishes_at_once_end_in_the_one_that_was_recorded_last() {
    let witness = Witness::beside(&[LND]);
    let _daemon = Daemon::ticking(1);
    for _ in 0..5 {
        let install = thread::spawn(|| companion(&["install", "lnd"]));
        let remove = thread::spawn(|| companion(&["remove", "lnd"]));
        let (_either, _way) = (install.join().unwrap(), remove.join().unwrap());
        let record = fs::read(format!("{STATE}/desired.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        if record["apps"]["lnd"]["installed"] == true {
            until("it is up", 60, || LND.is_up().then_some(()));
        } else {
            until("it is gone", 60, || is_gone(LND).then_some(()));
            throughout("it stays gone", 2, || is_gone(LND));
        }
    }
    companion(&["install", "lnd"]).exits(0);
    all_well();
    witness.nothing_else_happened();
}

/// Row 78: the record of an earlier program is read; that of a later one is neither used nor changed.
#[test]
fn a_record_of_an_earlier_version_is_read_and_one_of_a_later_is_left_alone() {
    let _witness = Witness::beside(&[]);
    let file = format!("{STATE}/desired.json");
    let good = fs::read(&file).unwrap();
    let mut record: serde_json::Value = serde_json::from_slice(&good).unwrap();
    // The first program kept nothing of what the catalog said.
    record.as_object_mut().unwrap().remove("known");
    fs::write(&file, serde_json::to_vec(&record).unwrap()).unwrap();
    let daemon = Daemon::ticking(1);
    all_well();
    companion(&["install", "lnd"]).exits(0);

    record["version"] = 2.into();
    record["news"] = "of a later program".into();
    let later = serde_json::to_vec(&record).unwrap();
    fs::write(&file, &later).unwrap();
    told_by(&daemon, "version is 2");
    for command in [&["status"][..], &["reconcile"], &["remove", "lnd"], &["install", "lnd"]] {
        let ran = companion(command).exits(1);
        assert!(ran.stderr.contains("version is 2"), "{ran}");
    }
    throughout("all run on", 2, || ALL.into_iter().all(Companion::is_up));
    assert!(fs::read(&file).unwrap() == later, "it is left as it is");
    fs::write(&file, &good).unwrap();
    rotate_password("the-usual-password-of-another-version");
    all_well();
    drop(daemon);
}
