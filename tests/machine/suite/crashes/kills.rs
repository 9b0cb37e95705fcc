//! Kills the daemon repeatedly, at seeded moments, during its work.
//!
//! `COMPANION_KILLS` sets the number of kills (40), `COMPANION_SEED` the seed.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::workloads::{BYSTANDER, RENDERED, leave, stage};
use super::{stale_files, strays};
use crate::daemon::Daemon;
use crate::guest::{archy, log_value, number, podman, property, root, systemctl, until, write};
use crate::node::{UNITS, USER_UNITS, companion, rendered_file};
use crate::random::Random;

const NAMES: [&str; 3] = ["plain", "hooked", "built"];

/// One of the faults for the daemon to repair.
fn fault(random: &mut Random) {
    let name = *random.one_of(&NAMES);
    let unit = format!("{UNITS}/{name}.container");
    let output = format!("{RENDERED}/hooked/web.conf");
    let rendered = || rendered_file(&output).unwrap_or_default();
    match random.below(7) {
        0 => drop(fs::remove_file(unit)),
        1 => drop(archy(&["sed", "-i", "s/^RestartSec=.*/RestartSec=77/", &unit])),
        2 => drop(fs::remove_file(rendered())),
        3 => drop(archy(&["sed", "-i", "1i# edited", &rendered()])),
        4 => drop(fs::remove_file(output)),
        5 => drop(systemctl(&["stop", &format!("{name}.service")])),
        // Its service ends with it, and restarts after a delay.
        _ => drop(podman(&["rm", "--force", "--time=0", name])),
    }
}

#[test]
fn repeatedly_killed_daemon_repairs_the_host_without_stale_files() {
    let (kills, seed) = (number("COMPANION_KILLS", 40), number("COMPANION_SEED", 1));
    let (started, mut random) = (Instant::now(), Random::seeded(seed));
    stage();
    companion(&["install", NAMES[0], NAMES[1], NAMES[2]]).exits(0);
    let run = property(BYSTANDER, "InvocationID");
    let hurried = "[Service]\nRestartSec=100ms\n";
    write(&format!("{USER_UNITS}/companion.service.d/hurried.conf"), hurried);
    let daemon = Daemon::resyncing(1);
    for _ in 0..kills {
        let pid = daemon.pid().to_string();
        fault(&mut random);
        // The delay itself is under test.
        thread::sleep(Duration::from_millis(random.below(900)));
        let _either_way = root(&["kill", "-KILL", &pid]);
    }
    let all_ready = || (companion(&["status"]).status == Some(0)).then_some(());
    let recovered = Instant::now();
    until("all are ready after the last kill", 180, all_ready);
    log_value("kills", &format!("{kills} in {} s, seed {seed}", started.elapsed().as_secs()));
    log_value("ready after the last", &format!("{:.1} s", recovered.elapsed().as_secs_f64()));
    // Its lock is free immediately, and the next start removes its stale files.
    daemon.crash();
    until("nothing is left over", 60, || stale_files().is_empty().then_some(()));
    drop(daemon);
    until("no podman is left", 60, || strays().is_empty().then_some(()));
    companion(&["reconcile"]).exits(0);
    assert_eq!(property(BYSTANDER, "InvocationID"), run, "who had no part in it runs on");
    leave();
}
