//! Root causes of failed starts and drop-ins in `status`.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::daemon::Daemon;
use crate::guest::{
    Ran, archy, podman, property, root, root_reading, systemctl, throughout, until, write,
};
use crate::node::{
    ALL, BITCOIN, Companion, LND, UNITS, USER_UNITS, companion, edit_dockerfile, installed,
    restore_context,
};

/// The status of `one` once it has a root cause, and the command's human-readable output at that time.
fn with_a_cause(one: Companion) -> (Value, Ran) {
    until("a root cause is named", 60, || {
        let (status, exit) = one.status();
        let words = companion(&["status", one.name]);
        let named = status["root_cause"].is_string() && words.stdout.contains("log: ");
        assert_eq!((exit, words.status), (Some(1), Some(1)), "{status}\n{words}");
        named.then_some((status, words))
    })
}

fn log(status: &Value) -> Vec<&str> {
    status["log"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

#[test]
fn occupied_port_is_reported_until_it_is_free() {
    // On a bridge, where Podman publishes it, and in the host's network.
    occupied_port_is_reported(LND, "lnd");
    occupied_port_is_reported(BITCOIN, "bitcoin-knots");
}

fn occupied_port_is_reported(one: Companion, app: &str) {
    installed();
    companion(&["remove", app]).exits(0);
    let free = || TcpListener::bind(("0.0.0.0", one.port)).ok();
    let listener = until("the port is free", 20, free);
    let install = companion(&["install", app]).exits(1);
    let sentence = format!("port {} is already in use", one.port);
    assert!(install.words().contains(&sentence), "{install}");

    let (status, words) = with_a_cause(one);
    assert_eq!(status["root_cause"], sentence, "{status}");
    assert_eq!(status["why"][0], sentence, "{status}");
    let line = log(&status).into_iter().find(|line| line.contains("ddress already in use"));
    let line = line.unwrap_or_else(|| panic!("{status}"));
    assert!(line.contains(&one.port.to_string()), "{status}");
    assert!(log(&status).len() <= 5 && status["log_error"].is_null(), "{status}");
    let lines = [format!("why: {sentence}"), format!("log: {line}")];
    let places = lines.each_ref().map(|text| words.stdout.find(text.as_str()));
    assert!(matches!(places, [Some(why), Some(log)] if why < log), "{words}");

    let restarts: u32 = one.property("NRestarts").parse().unwrap();
    assert!(restarts < 10, "{restarts}");
    assert!(ALL.into_iter().all(|other| other == one || other.is_up()));
    drop(listener);
    until("it is ready", 60, || (companion(&["reconcile"]).status == Some(0)).then_some(()));
    let (status, exit) = one.status();
    assert_eq!(exit, Some(0), "{status}");
    assert!(status["root_cause"].is_null() && log(&status).is_empty(), "{status}");
}

#[test]
fn image_without_its_program_affects_one_companion_only() {
    installed();
    edit_dockerfile(LND, |text| format!("{text}ENTRYPOINT [\"/usr/bin/no-such-program\"]\n"));
    companion(&["reconcile"]).exits(1);
    let (status, words) = with_a_cause(LND);
    let sentence = "program not found in the image";
    assert_eq!(status["root_cause"], sentence, "{status}");
    assert!(log(&status).iter().any(|line| line.contains("no-such-program")), "{status}");
    assert!(words.stdout.contains(&format!("why: {sentence}")), "{words}");
    let (other, exit) = BITCOIN.status();
    assert_eq!(exit, Some(0), "{other}");
    assert!(log(&other).is_empty(), "{other}");

    restore_context(LND);
    until("it is ready", 90, || (companion(&["reconcile"]).status == Some(0)).then_some(()));
}

/// Where the `journalctl` wrapper logs each call.
const CALLS: &str = "/tmp/journalctl-calls";
const BEFORE: &str = "/usr/local/bin/journalctl";

/// The number of journal reads.
fn readings() -> usize {
    fs::read_to_string(CALLS).unwrap_or_default().lines().count()
}

#[test]
fn daemon_reads_only_logs_of_failed_runs_and_each_once() {
    installed();
    let script = "cat >\"$1\"; chmod 755 \"$1\"; : >\"$2\"; chmod 666 \"$2\"";
    let wrapper = format!("#!/bin/sh\necho call >>{CALLS}\nexec /usr/bin/journalctl \"$@\"\n");
    root_reading(&["sh", "-ec", script, "sh", BEFORE, CALLS], &wrapper).good();
    let daemon = Daemon::resyncing(1);
    throughout("healthy ones cost no reading", 5, || readings() == 0);
    // After SIGKILL it waits 10 s for its next start: many observations of one run.
    podman(&["kill", "--signal", "KILL", LND.name]).good();
    until("its log is read", 9, || (readings() > 0).then_some(()));
    LND.comes_up(60);
    let found = readings();
    drop(daemon);
    root(&["rm", "-f", BEFORE, CALLS]).good();
    // An empty journal is read again, at most three times.
    assert!((1..=3).contains(&found), "{found} readings");
}

#[test]
fn drop_ins_are_reported_and_kept() {
    installed();
    let container = format!("{UNITS}/{}.container.d/x.conf", LND.name);
    let service = format!("{USER_UNITS}/{}.service.d/x.conf", LND.name);
    write(&container, "[Container]\nLabel=operator=was-here\n");
    write(&service, "[Service]\nEnvironment=OPERATOR=1\nNice=3\n");
    let run = LND.run();
    let daemon = Daemon::resyncing(1);
    systemctl(&["daemon-reload"]).good();
    let (status, exit) = LND.status();
    let found: Vec<_> = status["drop_ins"].as_array().unwrap().iter().collect();
    assert_eq!(found, [container.as_str(), service.as_str()], "{status}");
    assert_eq!(exit, Some(0), "{status}");
    let words = companion(&["status", LND.name]).exits(0);
    for path in [&container, &service] {
        assert!(words.stdout.contains(&format!("drop-in: {path}")), "{words}");
    }
    let (other, _) = BITCOIN.status();
    assert_eq!(other["drop_ins"].as_array().map(Vec::len), Some(0), "{other}");
    let reloaded = property("", "UnitsLoadTimestampMonotonic");
    throughout("it runs on", 4, || LND.run() == run);
    companion(&["reconcile"]).exits(0);
    assert_eq!(property("", "UnitsLoadTimestampMonotonic"), reloaded);
    assert_eq!(LND.property("Nice"), "3");
    drop(daemon);
    assert!(fs::exists(&container).unwrap() && fs::exists(&service).unwrap());
    archy(&["rm", "-r", &format!("{UNITS}/{}.container.d", LND.name)]).good();
    archy(&["rm", "-r", &format!("{USER_UNITS}/{}.service.d", LND.name)]).good();
    systemctl(&["daemon-reload"]).good();
}
