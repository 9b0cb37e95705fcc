//! Companions after a reboot, without the daemon and with it. `../run` reboots the machine between a
//! `before` and its `after`; the first pair is run again after a power cut.

use crate::daemon::Daemon;
use crate::guest::{property, root, systemctl, until};
use crate::node::{ALL, Companion, STARTED, companion, installed};

#[test]
fn before_it_the_daemon_is_disabled_and_three_companions_are_installed() {
    installed();
    systemctl(&["disable", "companion.service"]).good();
    assert_eq!(property("companion.service", "ActiveState"), "inactive");
}

#[test]
fn after_it_all_three_companions_are_back_with_no_daemon() {
    until("all are up", 60, || ALL.into_iter().all(Companion::is_up).then_some(()));
    assert_eq!(property("companion.service", "ActiveState"), "inactive");
    until("all are ready", 30, || (companion(&["status"]).status == Some(0)).then_some(()));
}

#[test]
fn before_another_the_daemon_is_enabled() {
    installed();
    systemctl(&["enable", "companion.service"]).good();
}

#[test]
fn after_another_the_daemon_is_there_and_has_restarted_nothing() {
    until("the daemon runs", 60, Daemon::find);
    until("all are up", 60, || ALL.into_iter().all(Companion::is_up).then_some(()));
    until("all are ready", 30, || (companion(&["status"]).status == Some(0)).then_some(()));
    root(&["journalctl", "--sync"]).good();
    for one in ALL {
        let (unit, kind) =
            (format!("USER_UNIT={}", one.service()), format!("MESSAGE_ID={STARTED}"));
        let ran = root(&["journalctl", "--quiet", "--output=cat", "--boot", &unit, &kind]);
        assert_eq!(ran.stdout.lines().count(), 1, "{}: {ran}", one.name);
    }
    systemctl(&["disable", "companion.service"]).good();
}
