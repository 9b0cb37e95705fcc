//! The final checks of a chaos run: stale files, and leaked secrets.

use std::fs;

use serde_json::json;

use super::history::History;
use super::site::forms_of_the_secret;
use crate::node::{CONFIG, PASSWORD, STATE, UNITS, rendered_file, stale_files};
use crate::secrets::places_with;

/// Resident memory in KiB, threads and open files of a process.
pub(super) fn taken(pid: u32) -> Option<[u64; 3]> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse().ok()
    };
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    Some([field("VmRSS:")?, field("Threads:")?, files])
}

/// Records all findings.
pub(super) fn note(history: &mut History) {
    let places = [UNITS, STATE, "/home/archy/chaos", "/var/lib/archipelago/bitcoin-ui"];
    for what in stale_files(&places) {
        history.note("left over", json!({"what": what}));
    }
    let found = places_with(&forms_of_the_secret());
    let rendered = rendered_file(CONFIG).unwrap_or_default();
    if !found.contains(&rendered) || !found.contains(PASSWORD) {
        history.note("unsearched", json!({"found": found}));
    }
    for place in
        found.iter().filter(|place| ![rendered.as_str(), PASSWORD].contains(&place.as_str()))
    {
        history.note("secret", json!({"place": place}));
    }
}
