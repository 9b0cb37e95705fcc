//! The fault matrix: each test injects one fault into the real host and names its row.
//!
//! Every test except the one on an empty node also checks the invariants in [`witness`]: unaffected companions keep
//! their processes, unmanaged objects are unchanged, and no secret is logged. Other rows are covered by the other
//! files of this suite, and by the crash and chaos runs.

use serde_json::Value;

use crate::daemon::Daemon;
use crate::guest::{property, until};
use crate::node::{ALL, Companion, companion};

mod filesystem;
mod generator;
mod hooks;
mod images;
mod podman;
mod probe;
mod process;
mod proxy;
mod registry;
mod systemd;
mod witness;

/// Maximum time of a repair, in seconds: an active back-off, a resync, a restart delay of 10 s, and the same again
/// for a busy machine.
const TIMEOUT: u64 = 60;

/// The condition of `one` in `companion status` with this reason and these words.
fn held(one: Companion, on: &str, words: &str) -> Value {
    until(&format!("{} is held by {on}: {words}", one.name), TIMEOUT, || {
        let (status, exit) = one.status();
        let of_this = |waits: &&Value| waits["reason"] == on && waits.to_string().contains(words);
        let found = status["conditions"].as_array()?.iter().find(of_this)?.clone();
        (exit == Some(1)).then_some(found)
    })
}

/// Waits until the first warning or error of the daemon contains these words.
fn logged_by(_daemon: &Daemon, words: &str) -> String {
    until(&format!("the daemon tells of: {words}"), TIMEOUT, || {
        let text = property("companion.service", "StatusText");
        text.contains(words).then_some(text)
    })
}

/// Waits until `companion status` reports all companions ready, and every page answers.
fn all_well() {
    until("all are ready", TIMEOUT, || {
        let ready = companion(&["status"]).status == Some(0);
        (ready && ALL.into_iter().all(Companion::is_up)).then_some(())
    });
}
