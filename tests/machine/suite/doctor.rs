//! What `companion doctor` reports about the machine.

use std::fs;

use crate::guest::archy;
use crate::node::{companion, installed};

#[test]
fn doctor_reports_ok_when_all_prerequisites_are_met() {
    installed();
    let ran = companion(&["doctor"]).exits(0);
    assert!(!ran.stdout.contains("error "), "{ran}");
    assert!(ran.stdout.contains("ok      container start: a container of localhost/"), "{ran}");
    let left = archy(&["podman", "ps", "--all", "--quiet", "--filter=network=none"]).good();
    assert_eq!(left, "", "the trial leaves no container");
}

#[test]
fn missing_linger_is_an_error_with_its_fix() {
    installed();
    // Only the linger file: `loginctl disable-linger` would stop archy's manager immediately, because archy is not
    // logged in.
    let mark = "/var/lib/systemd/linger/archy";
    fs::remove_file(mark).unwrap();
    let ran = companion(&["doctor"]);
    fs::write(mark, "").unwrap();
    let ran = ran.exits(3);
    let finding = "error   linger: the user's services stop at logout and do not start at boot";
    assert!(ran.stdout.contains(finding), "{ran}");
    assert!(ran.stdout.contains("        fix: loginctl enable-linger\n"), "{ran}");
}
