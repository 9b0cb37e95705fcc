//! Faults of companion's processes: killed, shut down, concurrent, of another version.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant};

use super::witness::Witness;
use super::{all_well, logged_by};
use crate::daemon::Daemon;
use crate::guest::{by_root, number, spawn_archy, systemctl, tell, throughout, until};
use crate::node::{
    ALL, APPS, BITCOIN, COMPANION, Companion, ELECTRS, LND, STATE, UNITS, companion, is_recorded,
    leftovers, rotate_password,
};
use crate::random::Random;

/// signal(7).
const SIGTERM: i32 = 15;

/// The number of kills of a command.
const KILLS: u64 = 50;

/// Whether no object of a companion is left.
fn is_gone(one: Companion) -> bool {
    !fs::exists(one.unit()).unwrap()
        && one.property("ActiveState") == "inactive"
        && one.container().is_none()
}

/// The directories that companion writes to.
const WRITTEN: [&str; 3] = [UNITS, STATE, "/var/lib/archipelago/bitcoin-ui"];

/// Random numbers by the seed of the run, which is printed, so that a failure is reproducible.
fn random() -> Random {
    let seed = number("COMPANION_SEED", 1);
    tell("seed", &seed.to_string());
    Random::seeded(seed)
}

/// Row 77: a command killed fifty times at any point leaves no stale file.
#[test]
fn fifty_killed_commands_leave_no_stale_file() {
    let witness = Witness::beside(&[LND, ELECTRS]);
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
    companion(&[&["install"], &APPS[..]].concat()).exits(0);
    all_well();
    // The start of a daemon removes stale files.
    drop(Daemon::resyncing(1));
    assert_eq!(leftovers(&WRITTEN), Vec::<String>::new());
    witness.nothing_else_happened();
}

/// Row 77: the daemon, killed or shut down during its work, resumes it.
#[test]
fn killed_daemon_resumes_its_repairs() {
    let witness = Witness::beside(&[LND]);
    let daemon = Daemon::resyncing(1);
    let mut random = random();
    for reconcile in 0..8 {
        LND.edit_unit().good();
        thread::sleep(Duration::from_millis(random.below(400)));
        if reconcile % 2 == 0 {
            daemon.crash();
        } else {
            daemon.restart();
        }
    }
    until("it is restored", 60, || LND.unit_is_restored());
    all_well();
    drop(daemon);
    assert_eq!(leftovers(&WRITTEN), Vec::<String>::new());
    witness.nothing_else_happened();
}

/// Row 77: on SIGTERM during a reconcile, a command exits within seconds, and its recorded intent is completed.
#[test]
fn command_shuts_down_quickly_on_sigterm() {
    let witness = Witness::beside(&[LND]);
    let (mut random, mut by_itself) = (random(), 0);
    for _ in 0..8 {
        companion(&["remove", "lnd"]).exits(0);
        let mut child = spawn_archy(&[COMPANION, "install", "lnd"]);
        thread::sleep(Duration::from_millis(random.below(900)));
        let begun = Instant::now();
        by_root(&format!("kill -TERM {} || true", child.id()));
        let status = until("it ends", 30, || child.try_wait().unwrap());
        tell("end of a command that was told to", &format!("{:?}", begun.elapsed()));
        // Before it handles signals, SIGTERM kills it like any program.
        by_itself += usize::from(matches!(status.code(), Some(0 | 1)));
        assert!(
            matches!(status.code(), Some(0 | 1)) || status.signal() == Some(SIGTERM),
            "{status}"
        );
        companion(&["reconcile"]).exits(0);
        assert!(if is_recorded("lnd") { LND.is_up() } else { is_gone(LND) }, "{status}");
    }
    assert!(by_itself > 0, "none came as far as to listen");
    companion(&["install", "lnd"]).exits(0);
    all_well();
    assert_eq!(leftovers(&WRITTEN), Vec::<String>::new());
    witness.nothing_else_happened();
}

/// Row 76: installs and removals by two processes while the daemon runs; a removal that was recorded last is final.
#[test]
fn concurrent_installs_and_removals_resurrect_no_app() {
    let witness = Witness::beside(&[LND, ELECTRS]);
    let _daemon = Daemon::resyncing(1);
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

/// Row 76: concurrent contrary intents for one app: the later one wins.
#[test]
fn last_recorded_of_concurrent_intents_wins() {
    let witness = Witness::beside(&[LND]);
    let _daemon = Daemon::resyncing(1);
    for _ in 0..5 {
        let install = thread::spawn(|| companion(&["install", "lnd"]));
        let remove = thread::spawn(|| companion(&["remove", "lnd"]));
        let (_either, _way) = (install.join().unwrap(), remove.join().unwrap());
        if is_recorded("lnd") {
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

/// The same desired state in the format of an earlier release: with catalog data next to the companions, and without
/// a requester.
fn version_1(record: &serde_json::Value) -> serde_json::Value {
    let mut earlier = record.clone();
    earlier["version"] = 1.into();
    for intent in earlier["apps"].as_object_mut().unwrap().values_mut() {
        intent.as_object_mut().unwrap().remove("by");
    }
    for (name, known) in record["companions"].as_object().unwrap() {
        earlier["companions"][name] = known["generation"].clone();
        // The first release stored no catalog data.
        if *name != LND.name {
            earlier["known"][name]["apps"] = known["apps"].clone();
            earlier["known"][name]["hook"] = known["hook"].clone();
        }
    }
    earlier
}

/// Row 78: the record of an earlier release is read; that of a later one is neither used nor changed.
#[test]
fn older_record_version_is_read_and_a_newer_one_is_kept() {
    let witness = Witness::beside(&[BITCOIN]);
    let file = format!("{STATE}/desired.json");
    let good = fs::read(&file).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&good).unwrap();
    assert_eq!(record["version"], 2);
    fs::write(&file, serde_json::to_vec(&version_1(&record)).unwrap()).unwrap();
    let daemon = Daemon::resyncing(1);
    all_well();
    companion(&["install", "lnd"]).exits(0);
    assert!(APPS.into_iter().all(is_recorded));
    let again: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(again["version"], 2, "the next intent writes the form of today");

    let mut later = record;
    later["version"] = 3.into();
    later["news"] = "of a later program".into();
    let later = serde_json::to_vec(&later).unwrap();
    fs::write(&file, &later).unwrap();
    logged_by(&daemon, "version is 3");
    for command in [&["status"][..], &["reconcile"], &["remove", "lnd"], &["install", "lnd"]] {
        let ran = companion(command).exits(1);
        assert!(ran.stderr.contains("version is 3"), "{ran}");
    }
    throughout("all run on", 2, || ALL.into_iter().all(Companion::is_up));
    assert!(fs::read(&file).unwrap() == later, "it is left as it is");
    fs::write(&file, &good).unwrap();
    rotate_password("the-usual-password-of-another-version");
    all_well();
    drop(daemon);
    witness.nothing_else_happened();
}
