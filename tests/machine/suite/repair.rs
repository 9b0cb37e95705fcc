//! Faults that the daemon detects and repairs, once.
//!
//! It resyncs every 5 s here. The timeout of a repair is a resync and the restart delay of 10 s, and the same again
//! for a busy machine.

use std::fs;
use std::time::Instant;

use crate::daemon::Daemon;
use crate::guest::{archy, measured, podman, systemctl, throughout, until, write};
use crate::http;
use crate::node::{
    BITCOIN, CONFIG, Companion, ELECTRS, LND, Moment, USER_UNITS, ask_the_node, companion,
    installed, rendered_file, rendered_files, rotate_password,
};

const RESYNC: u64 = 5;
const TIMEOUT: u64 = 2 * (RESYNC + 10);

/// Injects `harm`, and waits until `one` is up in another container than before.
fn comes_back(what: &str, one: Companion, harm: impl FnOnce()) {
    let old = one.container().unwrap();
    let begun = Instant::now();
    harm();
    until(what, TIMEOUT, || one.container().filter(|id| *id != old && one.is_up()));
    measured(&format!("{what}, back"), begun);
}

#[test]
fn edited_unit_file_is_restored_with_one_restart() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    let since = Moment::now();
    comes_back("edited unit file", LND, || {
        LND.edit_unit().good();
    });
    until("it is ready", TIMEOUT, || (LND.status().1 == Some(0)).then_some(()));
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
    until("it is ready", TIMEOUT, || (LND.status().1 == Some(0)).then_some(()));
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

/// An upgrade of companion: the unit renders the same specification differently, and names no renderer version.
#[test]
fn unit_of_an_earlier_release_is_upgraded_with_one_restart() {
    installed();
    let text = LND.unit_text();
    let (electrs, since) = (ELECTRS.container(), Moment::now());
    let hex = "[0-9a-f]{16}";
    let plain = format!("s/({hex}-{hex}-(none|{hex}))-{hex}-([0-9]+)/\\1-\\3/");
    archy(&["sed", "-E", "-i", "-e", &plain, "-e", "/^TimeoutStartSec/d", &LND.unit()]).good();
    systemctl(&["daemon-reload"]).good();
    systemctl(&["restart", &LND.service()]).good();
    until("the earlier unit runs", TIMEOUT, || LND.is_up().then_some(()));
    let plan = companion(&["plan"]);
    let ran = companion(&["reconcile"]);
    assert_eq!(ran.status, Some(0), "{ran}");
    for said in [format!("{plan}"), format!("{ran}")] {
        assert!(said.contains("renders the unit differently"), "{said}");
        assert!(!said.contains("outside companion") && !said.contains("differs from"), "{said}");
    }
    assert_eq!(LND.unit_text(), text, "today's words, and the restart_epoch that it had");
    assert_eq!(LND.status().1, Some(0));
    assert_eq!(LND.starts(&since), 2, "once by hand, and once for the new words");
    assert_eq!(ELECTRS.container(), electrs);
}

#[test]
fn killed_container_is_restarted() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    comes_back("killed container", BITCOIN, || {
        podman(&["kill", "--signal=KILL", BITCOIN.name]).good();
    });
}

#[test]
fn removed_container_is_recreated() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    comes_back("removed container", ELECTRS, || {
        podman(&["rm", "--force", ELECTRS.name]).good();
    });
}

#[test]
fn paused_container_is_replaced() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    comes_back("paused container", LND, || {
        podman(&["pause", LND.name]).good();
    });
}

#[test]
fn manually_stopped_service_is_started() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    comes_back("stopped service", ELECTRS, || {
        systemctl(&["stop", &ELECTRS.service()]).good();
    });
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
fn failed_service_is_reset_and_started() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    comes_back("failed service", LND, || {
        podman(&["pause", LND.name]).good();
        // A paused container is killed by its stop, which fails the service.
        systemctl(&["stop", &LND.service()]).good();
    });
    assert_eq!(LND.property("Result"), "success");
}

#[test]
fn service_at_its_start_limit_is_reset_and_started() {
    installed();
    let limit =
        "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n[Service]\nRestartSec=100ms\n";
    write(&format!("{USER_UNITS}/{}.d/limit.conf", ELECTRS.service()), limit);
    systemctl(&["daemon-reload"]).good();
    for _ in 0..6 {
        let _gone = podman(&["kill", "--signal=KILL", ELECTRS.name]);
        until("it runs or has failed", 20, || {
            let there =
                || ELECTRS.container().is_some() && ELECTRS.property("SubState") == "running";
            (ELECTRS.property("ActiveState") == "failed" || there()).then_some(())
        });
    }
    assert_eq!(ELECTRS.property("ActiveState"), "failed");
    let begun = Instant::now();
    let _daemon = Daemon::resyncing(RESYNC);
    until("it is up", TIMEOUT, || ELECTRS.is_up().then_some(()));
    measured("service at its start limit, back after the daemon's start", begun);
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
    assert_eq!(rendered_files(CONFIG), [new].into(), "the old password is gone");
}

/// The file keeps its name, and its container keeps running: the content is unchanged.
#[test]
fn insecure_mode_of_a_configuration_is_fixed_without_a_restart() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    let (file, container) = (rendered_file(CONFIG).unwrap(), BITCOIN.container());
    archy(&["chmod", "0644", &file]).good();
    until("its mode is 0600", TIMEOUT, || {
        use std::os::unix::fs::PermissionsExt as _;
        (fs::metadata(&file).unwrap().permissions().mode() & 0o777 == 0o600).then_some(())
    });
    throughout("it runs on", RESYNC + 1, || BITCOIN.container() == container);
    assert!(BITCOIN.is_up());
    assert_eq!(rendered_files(CONFIG), [file].into());
}

#[test]
fn concurrent_faults_are_all_repaired() {
    installed();
    let _daemon = Daemon::resyncing(RESYNC);
    let begun = Instant::now();
    fs::remove_file(BITCOIN.unit()).unwrap();
    podman(&["pause", LND.name]).good();
    systemctl(&["stop", &ELECTRS.service()]).good();
    rotate_password("the-usual-password-of-a-bad-day");
    until("all are well", 2 * TIMEOUT, || {
        let well = [BITCOIN, LND, ELECTRS].into_iter().all(Companion::is_up);
        (well && ask_the_node() == Some(200) && http::get(LND.port, "/", &[]).is_ok()).then_some(())
    });
    measured("four harms at once, repaired", begun);
}
