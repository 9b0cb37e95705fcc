//! A daemon that finds nothing to do, and the size and start of the command.

use std::fs;
use std::thread;
use std::time::Duration;

use super::fleet::Fleet;
use super::{Table, Times, shown, took};
use crate::daemon::Daemon;
use crate::guest::{archy, number};
use crate::node::{COMPANION, installed};

/// Size, `--version`, and `status` while a leader runs.
pub(super) fn command(table: &mut Table, samples: usize) {
    installed();
    let size = fs::metadata(COMPANION).unwrap().len();
    table.row("release binary, stripped", &format!("{:.2} MiB", size as f64 / 1_048_576.0));
    // What `archy` needs to become that user is not the command's.
    let time = |command: &[&str]| Times::of(samples, || took(|| drop(archy(command).good())));
    let none = time(&["true"]).median();
    let version = time(&[COMPANION, "--version"]).median().saturating_sub(none);
    table.row("`companion --version`", &shown(version));
    let _daemon = Daemon::start();
    let status = time(&[COMPANION, "status"]).median().saturating_sub(none);
    table.row("`companion status` while a leader runs", &shown(status));
}

/// Processor time, wake-ups, writes, processes and memory of an idle daemon.
pub(super) fn daemon(table: &mut Table) {
    installed();
    let fleet = Fleet::installed("bench", 7);
    let daemon = Daemon::start();
    let pid = daemon.pid();
    let manager = archy(&["pgrep", "-u", "archy", "-x", "systemd"]).good().parse().unwrap();
    thread::sleep(Duration::from_secs(20));
    let seconds = number("COMPANION_BENCH_IDLE_SECONDS", 120);
    let seen = || (processor_time(pid), processor_time(manager), switches(pid), written(pid));
    let before = seen();
    thread::sleep(Duration::from_secs(seconds));
    let after = seen();
    let share = |before: Duration, after: Duration| {
        100.0 * after.saturating_sub(before).as_secs_f64() / seconds as f64
    };
    drop(daemon);
    let alone = processor_time(manager);
    thread::sleep(Duration::from_secs(seconds));
    let without = share(alone, processor_time(manager));
    let row = format!(
        "{:.3} % of a core, {:.3} % in the user's systemd ({without:.3} % without the daemon), {} wake-ups an hour, \
         {} bytes written",
        share(before.0, after.0),
        share(before.1, after.1),
        (after.2 - before.2) * 3600 / seconds,
        after.3 - before.3,
    );
    table.row(&format!("idle daemon, 10 companions, {seconds} s"), &row);
    let daemon = Daemon::start();
    thread::sleep(Duration::from_secs(35));
    table.row(
        "resident memory",
        &format!("{}, peak {}", daemon.status("VmRSS"), daemon.status("VmHWM")),
    );
    fleet.remove();
}

/// The time on a processor of all threads of a process (proc_pid_schedstat(5)).
pub(super) fn processor_time(pid: u32) -> Duration {
    let of = |path: std::path::PathBuf| -> Option<u64> {
        fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(threads(pid).filter_map(of).sum())
}

fn threads(pid: u32) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().map(|entry| entry.path())
}

/// How often a thread of a process went to sleep: each wake-up ends so.
fn switches(pid: u32) -> u64 {
    let of = |path: std::path::PathBuf| -> Option<u64> {
        let text = fs::read_to_string(path.join("status")).ok()?;
        let count = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count?.trim().parse().ok()
    };
    threads(pid).filter_map(of).sum()
}

fn written(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    count.unwrap().parse().unwrap()
}
