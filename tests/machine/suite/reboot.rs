//! Companions after a reboot, with no daemon. `../run` reboots the machine between the two.

use crate::guest::{property, systemctl, until};
use crate::node::{ALL, Companion, companion, installed};

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
