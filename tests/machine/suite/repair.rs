//! Faults that the daemon detects and repairs, once.
//!
//! It resyncs every 5 s here. The timeout of a repair is a resync and the restart delay of 10 s, and the same again
//! for a busy machine.

use std::fs;
use std::time::Instant;

use crate::daemon::Daemon;
use crate::guest::{archy, measured, podman, root, systemctl, throughout, until, write};
use crate::node::{
    BITCOIN, CONFIG, Companion, ELECTRS, LND, Moment, USER_UNITS, ask_the_node, installed,
    rendered_file, rendered_files, rotate_password,
};

const RESYNC: u64 = 5;
const TIMEOUT: u64 = 2 * (RESYNC + 10);

/// Injects `fault`, and waits until `one` is up in another container than before.
fn comes_back(what: &str, one: Companion, fault: impl FnOnce()) {
    let old = one.container().unwrap();
    let started = Instant::now();
    fault();
    until(what, TIMEOUT, || one.container().filter(|id| *id != old && one.is_up()));
    measured(&format!("{what}, back"), started);
}

#[test]
fn edited_unit_file_is_restored_with_one_restart() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    let since = Moment::now();
    comes_back("edited unit file", LND, || {
        LND.edit_unit().good();
    });
    LND.becomes_ready(TIMEOUT);
    assert!(LND.unit_text().contains("\nRestartSec=10\n"), "{}", LND.unit_text());
    assert_eq!(LND.property("RestartUSec"), "10s");
    assert_eq!(LND.starts(&since), 1);
}

#[test]
fn container_started_from_an_edited_unit_is_replaced() {
    installed();
    let text = LND.unit_text();
    let (electrs, since) = (ELECTRS.container(), Moment::now());
    archy(&["sed", "-i", "/^DropCapability/d", &LND.unit()]).good();
    systemctl(&["daemon-reload"]).good();
    systemctl(&["restart", &LND.service()]).good();
    let mut daemon = None;
    comes_back("container that an edited unit started", LND, || {
        daemon = Some(Daemon::resyncing(RESYNC));
    });
    LND.becomes_ready(TIMEOUT);
    let capabilities = podman(&["inspect", "--format", "{{len .EffectiveCaps}}", LND.name]).good();
    assert_eq!(capabilities, "5");
    // Only its restart epoch differs: the container of the edited unit must not count as that of this one.
    let restored = LND.unit_text();
    let changed = text.lines().zip(restored.lines()).filter(|(old, new)| old != new);
    let changed: Vec<_> = changed.map(|(old, _)| old.split_once('=').unwrap().0).collect();
    assert_eq!(changed, ["Label", "Environment", "Revision"]);
    assert_eq!(text.lines().count(), restored.lines().count());
    assert_eq!(ELECTRS.container(), electrs);
    assert_eq!(LND.starts(&since), 2, "once by hand, and once to undo it");
    drop(daemon);
}

/// Kills the main process of its service.
fn kill_conmon(one: Companion) {
    let pid = one.property("MainPID");
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim(), "conmon");
    root(&["kill", "-KILL", &pid]).good();
}

fn pause(one: Companion) {
    podman(&["pause", one.name]).good();
}

/// What is affected, of which companion, and how.
type Case = (&'static str, Companion, fn(Companion));

#[test]
fn affected_container_or_service_is_replaced() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    let cases: [Case; 6] = [
        ("killed container", BITCOIN, |one| {
            podman(&["kill", "--signal=KILL", one.name]).good();
        }),
        // Without it the container is an orphan that occupies the name.
        ("killed conmon", ELECTRS, kill_conmon),
        ("removed container", LND, |one| {
            podman(&["rm", "--force", one.name]).good();
        }),
        ("paused container", BITCOIN, pause),
        ("stopped service", ELECTRS, |one| {
            systemctl(&["stop", &one.service()]).good();
        }),
        // A paused container is killed by its stop, which fails the service; the daemon may be faster.
        ("failed service", LND, |one| {
            pause(one);
            let _stopped_or_restarted = systemctl(&["stop", &one.service()]);
        }),
    ];
    for (what, one, fault) in cases {
        comes_back(what, one, || fault(one));
        assert_eq!(one.property("Result"), "success", "{what}");
        let names = podman(&["ps", "--all", "--format", "{{.Names}}"]).good();
        assert_eq!(names.lines().filter(|name| *name == one.name).count(), 1, "{what}");
    }
}

/// systemd reports the end of the stop, so the daemon need not wait for its resync, which would come too late here.
#[test]
fn manually_stopped_service_is_started_before_the_resync() {
    installed();
    let _daemon = Daemon::resyncing(10 * TIMEOUT);
    comes_back("stopped service, without a resync", ELECTRS, || {
        systemctl(&["stop", &ELECTRS.service()]).good();
    });
}

#[test]
fn service_at_its_start_limit_is_reset_and_started() {
    installed();
    let limit =
        "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n[Service]\nRestartSec=100ms\n";
    write(&format!("{USER_UNITS}/{}.d/limit.conf", ELECTRS.service()), limit);
    systemctl(&["daemon-reload"]).good();
    for _ in 0..6 {
        let _removed = podman(&["kill", "--signal=KILL", ELECTRS.name]);
        until("it runs or has failed", 20, || {
            let there =
                || ELECTRS.container().is_some() && ELECTRS.property("SubState") == "running";
            (ELECTRS.property("ActiveState") == "failed" || there()).then_some(())
        });
    }
    assert_eq!(ELECTRS.property("ActiveState"), "failed");
    let started = Instant::now();
    let _daemon = Daemon::resyncing(RESYNC);
    ELECTRS.comes_up(TIMEOUT);
    measured("service at its start limit, back after the daemon's start", started);
}

#[test]
fn rotated_password_causes_one_restart() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    let (since, others) = (Moment::now(), [LND, ELECTRS].map(Companion::container));
    let old = rendered_file(CONFIG).unwrap();
    comes_back("container with the old password", BITCOIN, || {
        rotate_password("the-usual-password-no-longer");
        assert_eq!(ask_the_node(), Some(502), "the node refuses the old one");
    });
    assert_eq!(ask_the_node(), Some(200));
    let id = BITCOIN.container();
    throughout("it is left alone", 2 * RESYNC + 1, || BITCOIN.container() == id);
    assert_eq!(BITCOIN.starts(&since), 1);
    assert_eq!([LND, ELECTRS].map(Companion::container), others);
    assert_eq!(ask_the_node(), Some(200));
    let new = rendered_file(CONFIG).unwrap();
    assert!(new != old && BITCOIN.unit_text().contains(&format!("{new}:")), "{new}");
    assert_eq!(rendered_files(CONFIG), [new].into(), "the old password is removed");
}
