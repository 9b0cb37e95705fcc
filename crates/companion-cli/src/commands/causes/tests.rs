use companion_core::model::observed::Work;
use companion_core::plan::WaitingOn;
use serde_json::json;

use super::*;

/// A blocked companion that waits on `waiting_on`, with the log of its failed run.
fn blocked(name: &str, waiting_on: WaitingOn, log: &[&str]) -> CompanionStatus {
    let log = LogTail::of(log.iter().copied());
    let root_cause = RootCause::of(&log).map(|cause| cause.to_string());
    let message = waiting_on.to_string();
    serde_json::from_value(json!({
        "name": name,
        "health": "blocked",
        "why": root_cause.iter().chain([&message]).collect::<Vec<_>>(),
        "conditions": [{ "reason": waiting_on.reason(), "message": message }],
        "next": [],
        "running": [],
        "settled": true,
        "revisions": {},
        "root_cause": root_cause,
        "log": log.lines(),
        "drop_ins": [],
    }))
    .unwrap()
}

fn image_failed(name: &str, error: &str) -> CompanionStatus {
    let error = error.replace("NAME", name.trim_start_matches("archy-"));
    let back_off = WaitingOn::BackOff { work: Work::Image, failures: 1, error };
    blocked(name, back_off, &[])
}

/// Asserts the lines about `companions` on the host of a user.
#[track_caller]
fn answers(companions: &[CompanionStatus], expected: &[&str]) {
    let causes = of(companions, Some(Scope::User));
    let lines: Vec<_> = causes.iter().flat_map(Cause::lines).collect();
    assert_eq!(lines, expected);
}

#[test]
fn taken_port_is_named_with_the_log_and_the_fix() {
    let log = "Error: rootlessport listen tcp 0.0.0.0:18083: bind: address already in use";
    let crash = WaitingOn::CrashLoop { restarts: 2, end: None };
    answers(
        &[blocked("archy-lnd-ui", crash, &[log])],
        &[
            "archy-lnd-ui: port 18083 is already in use",
            &format!("    log: {log}"),
            "    fix: `ss -ltnp sport = :18083` shows the program that listens there; stop it, or set \
             another `host` port in catalog.toml",
        ],
    );
}

#[test]
fn one_network_failure_of_three_companions_is_named_once() {
    let error = "failed to provide the image localhost/NAME:latest: dial tcp: lookup docker.io: no such host";
    let names = ["archy-bitcoin-ui", "archy-electrs-ui", "archy-lnd-ui"];
    answers(
        &names.map(|name| image_failed(name, error)),
        &[
            "archy-bitcoin-ui, archy-electrs-ui, archy-lnd-ui: building or pulling the image failed once: \
             failed to provide the image localhost/bitcoin-ui:latest: dial tcp: lookup docker.io: no such \
             host",
            "    fix: check the network; it is tried again by itself. Without one, load the base image: \
             `podman load --input FILE`",
        ],
    );
}

#[test]
fn unreachable_registries_are_named_instead_of_each_attempt() {
    let error = |port: u16| {
        format!(
            "failed to provide image `localhost/NAME:latest`: build failed: `podman build` failed with exit \
             status 125: Error: pinging container registry registry-1.docker.io: Get \
             \"https://registry-1.docker.io/v2/\": dial tcp: read udp [::1]:{port}->[::1]:53: read: \
             connection refused; pull failed: Error: pinging container registry 127.0.0.1:5000: Get \
             \"https://127.0.0.1:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused"
        )
    };
    let companions =
        [image_failed("archy-lnd-ui", &error(1)), image_failed("archy-electrs-ui", &error(2))];
    let causes = of(&companions, None);
    assert_eq!(causes.len(), 1);
    assert_eq!(
        causes[0].lines()[0],
        "archy-lnd-ui, archy-electrs-ui: image can be neither built nor pulled: no connection to \
         registry-1.docker.io, 127.0.0.1:5000 (connection refused)"
    );
    assert!(causes[0].fix.is_some());
    let other = image_failed("archy-electrs-ui", "manifest unknown");
    assert_eq!(of(&[companions[0].clone(), other], None).len(), 2, "another cause");
}

#[test]
fn known_cause_has_its_fix() {
    let waits = |waiting_on| blocked("archy-lnd-ui", waiting_on, &[]);
    let crashes = |log| {
        let crash = WaitingOn::CrashLoop { restarts: 0, end: None };
        blocked("archy-lnd-ui", crash, &[log])
    };
    let waiting_for = "the node's RPC password in /a or its cookie in /b".to_owned();
    let held = WaitingOn::Held { message: "its unit is masked".to_owned() };
    for (status, fix) in [
        (waits(WaitingOn::HookNotReady { waiting_for }), "`password_file` or `cookie_file`"),
        (waits(held.clone()), "systemctl --user unmask archy-lnd-ui.service"),
        (crashes("write /x: no space left on device"), "`podman system df`"),
        (crashes("it exits"), "`companion logs archy-lnd-ui`"),
        (image_failed("archy-lnd-ui", "HTTP response to HTTPS client"), "`insecure_registries`"),
        (image_failed("archy-lnd-ui", "no build context on this host"), "`context_directories`"),
    ] {
        let found = super::fix(&status, Some(Scope::User)).unwrap();
        assert!(found.contains(fix), "{fix}: {found}");
    }
    let system = super::fix(&waits(held), Some(Scope::System));
    assert_eq!(system.as_deref(), Some("systemctl unmask archy-lnd-ui.service"));
}
