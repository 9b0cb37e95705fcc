//! What `companion doctor` says of the machine, and how long `companion status` takes.

use std::time::{Duration, Instant};

use crate::guest::{root, tell};
use crate::node::{companion, installed};

#[test]
fn a_machine_that_lacks_nothing_is_told_so() {
    installed();
    let ran = companion(&["doctor"]).exits(0);
    assert!(!ran.stdout.contains("lacking"), "{ran}");
}

#[test]
fn missing_linger_is_named_with_the_command_that_mends_it() {
    installed();
    // logind lets the manager run on for 10 s, and asks again then.
    root(&["loginctl", "disable-linger", "archy"]).good();
    let ran = companion(&["doctor"]);
    root(&["loginctl", "enable-linger", "archy"]).good();
    let ran = ran.exits(3);
    assert!(ran.stdout.contains("mend: loginctl enable-linger"), "{ran}");
}

#[test]
fn status_is_answered_each_time_it_is_asked() {
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
