//! The fault matrix: each test injects a fault that this host alone can have, and names its row.
//!
//! Every test also checks the invariants in [`witness`]: unaffected companions keep their processes, unmanaged objects
//! are unchanged, and no secret is logged. Other rows are covered by the other files of this suite, by the chaos run,
//! and by the conformance suites, which ask systemd, Podman and its generator the same on this host.

use serde_json::Value;

use crate::guest::until;
use crate::node::Companion;

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

/// The condition of `one` in `companion status` with this reason.
fn held(one: Companion, on: &str) -> Value {
    until(&format!("{} is held by {on}", one.name), TIMEOUT, || {
        let (status, exit) = one.status();
        let found = status["conditions"].as_array()?.iter().find(|it| it["reason"] == on)?.clone();
        (exit == Some(1)).then_some(found)
    })
}
