//! The fault matrix: one fault after another is done to the real thing, each by a test that names its row.
//!
//! What every test here but one, which begins from nothing, sees to besides its own row is in [`witness`]: the
//! companions that the fault is not about run on as the same processes, nothing of a stranger's is touched, and
//! no secret is told.
//! Rows that are not here are shown by the other files of this suite, and by the crash and chaos runs.

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

/// How long a repair may take, in seconds: a back-off that was begun, a resync, a restart delay of 10 s,
/// and as much again for a busy machine.
const PATIENCE: u64 = 60;

/// The condition of `one` that `companion status` has by this reason, with these words in it.
fn held(one: Companion, on: &str, words: &str) -> Value {
    until(&format!("{} is held by {on}: {words}", one.name), PATIENCE, || {
        let (status, exit) = one.status();
        let of_this = |waits: &&Value| waits["reason"] == on && waits.to_string().contains(words);
        let found = status["conditions"].as_array()?.iter().find(of_this)?.clone();
        (exit == Some(1)).then_some(found)
    })
}

/// Waits until the daemon says of the first trouble that it has these words.
fn told_by(_daemon: &Daemon, words: &str) -> String {
    until(&format!("the daemon tells of: {words}"), PATIENCE, || {
        let text = property("companion.service", "StatusText");
        text.contains(words).then_some(text)
    })
}

/// Waits until `companion status` finds all ready, and every page answers.
fn all_well() {
    until("all are ready", PATIENCE, || {
        let ready = companion(&["status"]).status == Some(0);
        (ready && ALL.into_iter().all(Companion::is_up)).then_some(())
    });
}
