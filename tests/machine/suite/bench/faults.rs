//! From a fault to its repair, with the daemon: three companions of Archipelago, the others are stand-ins.
//!
//! Each fault hits another companion than the last one, because a repair that does not last is backed off.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::fleet::{Fleet, properties, timestamp};
use super::{Table, Times, shown};
use crate::daemon::Daemon;
use crate::guest::{archy, systemctl};
use crate::node::{ALL, BITCOIN, installed, rotate_password};

/// The pause between two faults, with 10 companions.
const PAUSE: Duration = Duration::from_millis(800);

pub(super) fn all(table: &mut Table, count: usize, samples: usize) {
    installed();
    let fleet = Fleet::installed("bench", count - ALL.len());
    let _daemon = Daemon::start();
    thread::sleep(Duration::from_secs(12));
    let mut row = |fault: &str, times: &Times| {
        let (half, most) = (shown(times.median()), shown(times.percentile(99)));
        table.row(&format!("{fault}, {count} companions"), &format!("p50 {half}, p99 {most}"));
    };
    let mut number = 0;
    let mut each = |pause: Duration, fault: &dyn Fn(usize) -> Duration| {
        Times::of(samples, || {
            number += 1;
            thread::sleep(pause);
            fault(number)
        })
    };
    row("deleted unit → unit back", &each(PAUSE, &|number| deleted(&fleet.unit(number))));
    thread::sleep(Duration::from_secs(10));
    let stopped = each(PAUSE, &|number| stopped(&fleet.service(number)));
    row("stopped service → start requested", &stopped);
    thread::sleep(Duration::from_secs(10));
    let edited = |number| edited(&fleet.unit(number), &fleet.service(number));
    row("edited unit → restart requested", &each(PAUSE * 2, &edited));
    thread::sleep(Duration::from_secs(10));
    let killed = each(PAUSE * 2, &|number| killed(&fleet.service(number)));
    row("killed service → restarted by systemd (RestartSec=10)", &killed);
    // The same container again after 24 s: an earlier repair of it would be backed off.
    let paused = |number: usize| frozen(&ALL[number % ALL.len()].service());
    row("paused container → restart requested", &each(PAUSE * 10, &paused));
    thread::sleep(Duration::from_secs(12));
    row("edited configuration → restart requested", &each(PAUSE * 15, &rotated));
    fleet.remove();
}

fn monotonic() -> u64 {
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

/// Waits for `answer`, at most 40 s.
fn awaited(what: &str, pause: Duration, mut answer: impl FnMut() -> Option<u64>) -> u64 {
    let started = monotonic();
    loop {
        if let Some(at) = answer() {
            return at;
        }
        assert!(monotonic() - started < 40_000_000, "{what}");
        thread::sleep(pause);
    }
}

fn between(from: u64, to: u64) -> Duration {
    Duration::from_micros(to.saturating_sub(from))
}

fn deleted(unit: &str) -> Duration {
    let started = monotonic();
    fs::remove_file(unit).unwrap();
    let back = || fs::exists(unit).unwrap().then(monotonic);
    between(started, awaited(unit, Duration::from_millis(1), back))
}

/// Waits for a time stamp of systemd that is later than `since`.
fn after(since: u64, service: &str, name: &str) -> Duration {
    let later = || Some(timestamp(service, name)).filter(|at| *at > since);
    between(since, awaited(service, Duration::from_millis(100), later))
}

fn stopped(service: &str) -> Duration {
    systemctl(&["stop", service]).good();
    let since = timestamp(service, "InactiveEnterTimestampMonotonic");
    after(since, service, "InactiveExitTimestampMonotonic")
}

fn edited(unit: &str, service: &str) -> Duration {
    let started = monotonic();
    archy(&["sed", "-i", "s/^RestartSec=.*/RestartSec=77/", unit]).good();
    after(started, service, "ActiveExitTimestampMonotonic")
}

fn killed(service: &str) -> Duration {
    let started = monotonic();
    systemctl(&["kill", "--signal=KILL", service]).good();
    after(started, service, "ActiveEnterTimestampMonotonic")
}

/// Freezes the group of the container, as `podman pause` does.
fn frozen(service: &str) -> Duration {
    let group = format!("/sys/fs/cgroup{}", properties(service)["ControlGroup"]);
    let payload = fs::read_dir(&group)
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("libpod-payload-"));
    let started = monotonic();
    fs::write(payload.unwrap().path().join("cgroup.freeze"), "1").unwrap();
    after(started, service, "ActiveExitTimestampMonotonic")
}

fn rotated(number: usize) -> Duration {
    rotate_password(&format!("the-usual-password-{number}"));
    let started = monotonic();
    after(started, &BITCOIN.service(), "ActiveExitTimestampMonotonic")
}
