//! What `companion doctor` reports about the machine, and how long `companion status` takes.

use std::fs;
use std::time::{Duration, Instant};

use crate::guest::{archy, tell};
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

#[test]
fn repeated_status_requests_are_answered() {
    installed();
    let time = |_| {
        let begun = Instant::now();
        companion(&["status"]).exits(0);
        begun.elapsed()
    };
    let mut times: Vec<Duration> = (0..20).map(time).collect();
    times.sort_unstable();
    tell("`companion status`, median of 20", &format!("{} ms", times[10].as_millis()));
    tell("`companion status`, longest of 20", &format!("{} ms", times[19].as_millis()));
}
