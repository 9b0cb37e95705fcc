//! Power cuts on a disk that loses what was not synced. `../run --power-cuts` cuts the machine's power during or after
//! [`work_until_a_cut`], and boots on what is left before [`after_a_cut`].
//!
//! `COMPANION_CUT` names the work, `COMPANION_CUT_DAEMON` says whether the daemon runs, `COMPANION_CUT_POINT` where the
//! command aborts itself, and `COMPANION_CUT_DONE` whether the work had reported success before the cut. What is
//! expected afterwards follows from these and from the disk: the recorded intents, the password, the catalog, and the
//! build contexts, which the work itself replaces durably.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::guest::{archy, log_value, podman, property, root, systemctl, write};
use crate::http;
use crate::node::{
    self, ALL, APPS, BITCOIN, CATALOG, COMPANION, CONTEXTS, Companion, ELECTRS, LND, PASSWORD,
    STATE, UNITS, ask_the_node, companion, image_id, is_recorded,
};

/// The test build of the command.
const CRASHING: &str = "/usr/local/lib/companion-machine/companion-crash-points";
const BASE: &str = "localhost/companion-base:latest";
/// The app of the removal; its companion has a configuration.
const REMOVED: &str = APPS[0];
/// A unit that is not ours.
const UNMANAGED: &str = "/home/archy/.config/containers/systemd/unmanaged.container";
const UNMANAGED_TEXT: &str = "[Container]\nImage=localhost/companion-base:latest\n\
    ContainerName=unmanaged\nNetwork=host\nPull=never\nExec=sleep 100000\nPodmanArgs=--stop-timeout=0\n\
    [Service]\nRestart=always\nRestartSec=1\n[Install]\nWantedBy=default.target\n[Quadlet]\nDefaultDependencies=false\n";
/// Seconds until the host must have recovered; several resyncs and restart delays.
const LIMIT: u64 = 120;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Install,
    Build,
    Rotation,
    Removal,
    Update,
}

impl Work {
    fn asked() -> Self {
        match variable("COMPANION_CUT").as_str() {
            "install" => Self::Install,
            "build" => Self::Build,
            "rotation" => Self::Rotation,
            "removal" => Self::Removal,
            "update" => Self::Update,
            other => panic!("no work is named `{other}`"),
        }
    }

    fn command(self) -> Vec<&'static str> {
        match self {
            Self::Install => [&["install"], &APPS[..]].concat(),
            Self::Removal => vec!["remove", REMOVED],
            Self::Build | Self::Rotation | Self::Update => vec!["reconcile"],
        }
    }

    /// What an operator changes before the command acts on it.
    fn change_inputs(self) {
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        let random = random.trim();
        match self {
            Self::Install | Self::Removal => {}
            Self::Build => {
                for one in [LND, ELECTRS] {
                    replace(&page_file(one), &format!("<!doctype html><p>{random}</p>\n"));
                }
            }
            Self::Rotation => replace(PASSWORD, &format!("the-usual-{random}\n")),
            Self::Update => {
                let text = fs::read_to_string(CATALOG).unwrap();
                let others = text.lines().filter(|line| !line.starts_with("host_names"));
                let others = others.map(|line| format!("{line}\n")).collect::<String>();
                let named = format!("[node]\nhost_names = [\"node-{random}\"]\n");
                replace(CATALOG, &others.replacen("[node]\n", &named, 1));
            }
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn has_daemon() -> bool {
    variable("COMPANION_CUT_DAEMON") == "yes"
}

/// Replaces a file so that a power cut leaves the old one or the new one.
fn replace(path: &str, text: &str) {
    let script = r#"cp --preserve=mode,ownership "$1" "$1.new"; printf %s "$2" >"$1.new"; sync "$1.new"
        mv "$1.new" "$1"; sync "${1%/*}""#;
    root(&["sh", "-ec", script, "sh", path, text]).good();
}

/// The page in the build context.
fn page_file(one: Companion) -> String {
    format!("{CONTEXTS}/{}/index.html", one.base)
}

#[test]
fn before_the_first_cut_one_file_is_synced_and_one_is_not() {
    let script = "echo kept >/root/synced && sync /root/synced /root && echo lost >/root/unsynced";
    root(&["sh", "-ec", script]).good();
}

#[test]
fn after_the_first_cut_only_the_synced_file_is_whole() {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text("/root/synced"), "kept\n");
    assert_ne!(text("/root/unsynced"), "lost\n", "this disk loses nothing, so it shows nothing");
}

#[test]
fn before_a_cut() {
    match Work::asked() {
        Work::Install => node::clean(),
        _ => node::installed(),
    }
    write(UNMANAGED, UNMANAGED_TEXT);
    systemctl(&["daemon-reload"]).good();
    systemctl(&["start", "unmanaged.service"]).good();
    let verb = if has_daemon() { "enable" } else { "disable" };
    systemctl(&[verb, "--now", "companion.service"]).good();
    // All that was done so far, and nothing of other disks.
    root(&["sync", "--file-system", "/"]).good();
}

#[test]
fn work_until_a_cut() {
    let work = Work::asked();
    work.change_inputs();
    let point = variable("COMPANION_CUT_POINT");
    let abort = format!("COMPANION_ABORT_AT={point}");
    let ran = match point.as_str() {
        "" => companion(&work.command()),
        _ => archy(&[&["env", &abort, CRASHING], &work.command()[..]].concat()),
    };
    // `timeout` exits with 128 plus the signal number; 6 is SIGABRT.
    let aborted = !point.is_empty() && matches!(ran.status, Some(134) | None);
    assert!(aborted || ran.status == Some(0), "{ran}");
    log_value("work", if aborted { "aborted at its point" } else { "done" });
}

#[test]
fn after_a_cut() {
    let (work, done) = (Work::asked(), variable("COMPANION_CUT_DONE") == "yes");
    let (started, booted) = (Instant::now(), age_of_the_boot());
    if !has_daemon() {
        // Podman loses a container now and then when several start together after a boot. The companion is then between
        // restarts, of which the command exits with 1, and systemd starts it again. The next reconcile does the rest.
        eventually("the command reconciles", || {
            let ran = companion(&["reconcile"]);
            assert!(matches!(ran.status, Some(0 | 1)), "{ran}{}", report());
            ran.status == Some(0)
        });
    }
    eventually("recorded companions follow their inputs", all_follow_their_inputs);
    eventually("nothing is left to do", is_settled);
    log_value("recovered", &format!("{:.1} s", booted + started.elapsed().as_secs_f64()));
    for app in APPS {
        let either = !done && (work == Work::Install || (work == Work::Removal && app == REMOVED));
        let wanted = !(work == Work::Removal && app == REMOVED);
        assert!(either || is_recorded(app) == wanted, "intent for {app} is lost{}", report());
    }
    eventually("nothing is left over", || stale_files().is_empty());
    eventually("unmanaged unit runs", || property("unmanaged.service", "SubState") == "running");
    assert_eq!(fs::read_to_string(UNMANAGED).unwrap(), UNMANAGED_TEXT);
    assert!(image_id(BASE).is_some());
}

/// Polls; fails with the state of the host.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(LIMIT), "{what}{}", report());
        thread::sleep(Duration::from_millis(200));
    }
}

/// Seconds since the guest's PID 1 started.
fn age_of_the_boot() -> f64 {
    let stat = fs::read_to_string("/proc/1/stat").unwrap();
    // The 22nd field of proc_pid_stat(5), in hundredths of a second; the command's name ends the second.
    let ticks: f64 = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    uptime.split(' ').next().unwrap().parse::<f64>().unwrap() - ticks / 100.0
}

/// Whether each companion that is recorded is up with the inputs on the disk, and each other one is absent.
fn all_follow_their_inputs() -> bool {
    APPS.into_iter().zip(ALL).all(|(app, one)| {
        if is_recorded(app) {
            one.is_active() && follows_its_inputs(one)
        } else {
            let unit = fs::exists(one.unit()).unwrap();
            !unit && one.property("LoadState") == "not-found" && one.container().is_none()
        }
    })
}

fn follows_its_inputs(one: Companion) -> bool {
    let catalog = fs::read_to_string(CATALOG).unwrap();
    let named = catalog.lines().find_map(|line| line.strip_prefix("host_names = [\""));
    let host = named.map_or("localhost", |rest| rest.trim_end_matches("\"]"));
    let Ok(page) = http::get(one.port, "/", &[("Host", host)]) else { return false };
    let wanted = fs::read_to_string(page_file(one)).unwrap();
    let authorized = || one != BITCOIN || ask_the_node() == Some(200);
    page.status == 200 && page.text.contains(wanted.trim_end()) && authorized()
}

/// Whether the command finds all ready and nothing to do.
fn is_settled() -> bool {
    let plan = companion(&["--json", "plan"]);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap_or_default();
    plan["steps"].as_array().is_some_and(Vec::is_empty) && companion(&["status"]).status == Some(0)
}

fn stale_files() -> Vec<String> {
    node::stale_files(&["/var/lib/archipelago", UNITS, STATE])
}

/// What an operator would look at.
fn report() -> String {
    let commands = [&["status"][..], &["plan"], &["doctor"]];
    let ours = commands.map(|words| archy(&[&[COMPANION], words].concat()).to_string());
    let commands = [&["images", "--all"][..], &["ps", "--all", "--external"], &["system", "check"]];
    let podmans = commands.map(|words| podman(words).to_string());
    let find = ["find", STATE, UNITS, "/var/lib/archipelago", "-type", "f", "-printf", "%p %s\n"];
    let files = root(&find);
    format!("\n{}\n{}\n{files}\nleft over: {:?}", ours.concat(), podmans.concat(), stale_files())
}
