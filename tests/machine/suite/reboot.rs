//! Companions after a reboot, without the daemon and with it. `../run` reboots the machine between a `before` and its
//! `after` test; the first pair runs again after a SIGKILL of everything.

use crate::daemon::Daemon;
use crate::guest::{property, root, systemctl, until};
use crate::node::{ALL, STARTED, all_ready, installed};

#[test]
fn before_the_reboot_the_daemon_is_disabled_and_three_apps_run() {
    installed();
    systemctl(&["disable", "companion.service"]).good();
    assert_eq!(property("companion.service", "ActiveState"), "inactive");
}

#[test]
fn after_the_reboot_three_companions_run_without_a_daemon() {
    all_ready(60);
    assert_eq!(property("companion.service", "ActiveState"), "inactive");
}

#[test]
fn before_the_second_reboot_the_daemon_is_enabled() {
    installed();
    systemctl(&["enable", "companion.service"]).good();
}

#[test]
fn after_the_second_reboot_the_daemon_restarted_nothing() {
    until("the daemon runs", 60, Daemon::find);
    all_ready(60);
    root(&["journalctl", "--sync"]).good();
    for one in ALL {
        let (unit, kind) =
            (format!("USER_UNIT={}", one.service()), format!("MESSAGE_ID={STARTED}"));
        let ran = root(&["journalctl", "--quiet", "--output=cat", "--boot", &unit, &kind]);
        assert_eq!(ran.stdout.lines().count(), 1, "{}: {ran}", one.name);
    }
    systemctl(&["disable", "companion.service"]).good();
}
