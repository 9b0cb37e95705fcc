//! A converged daemon does nothing and uses little memory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::guest::{log_value, podman, property, until};
use crate::node::{
    ALL, BITCOIN, CONFIG, Companion, LND, STATE, UNITS, ask_the_node, companion, containers,
    installed, rotate_password,
};

/// All metadata that identifies a file and its last change.
type Identity = (u64, u64, u64, i64, i64, i64, i64);

/// Everything that an active daemon would change.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    /// Files, with their directories, whose inode or change time a write, a rename, a chmod or a touch would change:
    /// units, configuration and state. They include the generator's output, which every reload recreates, and the
    /// index of Podman's image store.
    files: BTreeMap<String, Identity>,
    /// When systemd last read its units: changes at each reload.
    reloaded: String,
    /// The run, restart count and last state change of each service.
    services: Vec<[String; 3]>,
    containers: BTreeMap<&'static str, String>,
    /// Bytes written by the process to files (proc_pid_io(5)).
    written: u64,
    children: Children,
}

/// Traces of every child of a process.
///
/// A child is alive or unreaped, and then it is in `children`; or it was reaped, and then its page faults were added
/// to its parent's `cminflt`, which every program start increases (proc_pid_stat(5)). A parent that ignores SIGCHLD
/// would be the exception.
#[derive(Debug, PartialEq, Eq)]
struct Children {
    present: String,
    faults: u64,
}

impl Trace {
    fn of(pid: u32) -> Self {
        let mut files = BTreeMap::new();
        let generated = "/run/user/1000/systemd/generator";
        let index = "/home/archy/.local/share/containers/storage/overlay-images";
        let config = Path::new(CONFIG).parent().unwrap().to_str().unwrap();
        for directory in [UNITS, STATE, config, generated, index] {
            note(&mut files, Path::new(directory));
        }
        assert!(files.len() > 15, "{files:?}");
        let service = |one: Companion| {
            ["InvocationID", "NRestarts", "StateChangeTimestampMonotonic"]
                .map(|name| one.property(name))
        };
        Self {
            files,
            reloaded: property("", "UnitsLoadTimestampMonotonic"),
            services: ALL.map(service).into(),
            containers: containers(),
            written: number(pid, "write_bytes"),
            children: Children::of(pid),
        }
    }
}

impl Children {
    fn of(pid: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        // A thread may end between the two.
        let present =
            threads.map(|t| fs::read_to_string(t.path().join("children")).unwrap_or_default());
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The name may contain blanks; the text after it starts with the third field.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        Self { present: present.collect(), faults: fields[11 - 3].parse().unwrap() }
    }
}

fn note(files: &mut BTreeMap<String, Identity>, path: &Path) {
    let data = fs::symlink_metadata(path).unwrap();
    let identity = (
        data.ino(),
        data.size(),
        u64::from(data.mode()),
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec(),
    );
    files.insert(path.display().to_string(), identity);
    if data.is_dir() {
        fs::read_dir(path).unwrap().flatten().for_each(|entry| note(files, &entry.path()));
    }
}

/// A line of a process's `io`.
fn number(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap().parse().unwrap()
}

/// Waits for this many reconciles of a daemon with a resync of one second: each reads at least the desired state.
fn reconciles(pid: u32, count: usize) {
    let record = fs::metadata(format!("{STATE}/desired.json")).unwrap().len();
    let mut seen = number(pid, "rchar");
    for reconcile in 0..count {
        until(&format!("reconcile {reconcile}"), 10, || {
            (number(pid, "rchar") >= seen + record).then_some(())
        });
        // The rest of the same reconcile is not the next one.
        thread::sleep(Duration::from_millis(600));
        seen = number(pid, "rchar");
    }
}

#[test]
fn converged_reconciles_write_reload_restart_and_spawn_nothing() {
    installed();
    let daemon = Daemon::resyncing(1);
    let pid = daemon.pid();
    let ignored = u64::from_str_radix(&daemon.status("SigIgn"), 16).unwrap();
    assert_eq!(ignored & (1 << (17 - 1)), 0, "SIGCHLD is ignored, and children leave no trace");
    reconciles(pid, 3);

    let before = Trace::of(pid);
    assert_eq!(before.children.present, "");
    reconciles(pid, 10);
    assert_eq!(Trace::of(pid), before);

    // Proves that the trace works: an image with a changed name causes a podman query, and nothing else.
    podman(&["tag", "localhost/lnd-ui:latest", "localhost/also-lnd-ui:latest"]).good();
    until("podman was run", 10, || {
        (Children::of(pid).faults > before.children.faults).then_some(())
    });
    assert_eq!(containers(), before.containers);
    podman(&["untag", "localhost/also-lnd-ui:latest"]).good();
}

#[test]
fn daemon_with_three_companions_peaks_below_16_mib() {
    installed();
    let daemon = Daemon::resyncing(1);
    let pid = daemon.pid();
    let idle = daemon.status("VmHWM");
    // With repairs of each kind: a unit, a configuration, a build, restarts.
    fs::remove_file(LND.unit()).unwrap();
    rotate_password("the-usual-password-once-more");
    until("the new password is used", 30, || ask_the_node().filter(|status| *status == 200));
    crate::node::edit_context("electrs-ui/index.html", "<!doctype html><p>larger</p>");
    let started = Instant::now();
    until("all are ready", 60, || {
        let ready =
            started.elapsed() > Duration::from_secs(5) && companion(&["status"]).status == Some(0);
        ready.then_some(())
    });
    reconciles(pid, 3);
    assert!(BITCOIN.is_up() && daemon.pid() == pid);
    let peak = daemon.status("VmHWM");
    log_value("peak memory of the daemon at its start", &idle);
    log_value("peak memory of the daemon after repairs and a build", &peak);
    let kibibytes: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!(kibibytes < 16 * 1024, "{peak}");
}
