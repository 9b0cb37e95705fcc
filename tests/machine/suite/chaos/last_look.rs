//! The final checks of a chaos run: stale files, and leaked secrets.

use std::fs;

use serde_json::json;

use super::companion_faults::forms_of_the_secret;
use super::history::History;
use crate::guest::{podman, root, systemctl};
use crate::node::{CONFIG, PASSWORD, STATE, UNITS, leftovers, rendered_file};
use crate::secrets::{files_with, holds};

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
    for what in leftovers(&places) {
        history.note("left over", json!({"what": what}));
    }
    let forms = forms_of_the_secret();
    let said = [
        ("systemctl show", systemctl(&["show", "*"]).words()),
        ("podman inspect", podman(&["inspect", "archy-bitcoin-ui"]).words()),
        ("the journal", root(&["journalctl", "--no-pager", "--all", "--output=export"]).words()),
    ];
    for (place, words) in said {
        assert!(words.len() > 100, "{place} says something");
        if holds(words.as_bytes(), &forms) {
            history.note("secret", json!({"place": place}));
        }
    }
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let path = entry.path().join(file);
            let bytes = fs::read(&path).unwrap_or_default();
            if holds(&bytes, &forms) {
                history.note("secret", json!({"place": path.display().to_string()}));
            }
        }
    }
    let program = std::env::current_exe().unwrap().display().to_string();
    let found = files_with(&forms);
    let rendered = rendered_file(CONFIG).unwrap_or_default();
    if !found.contains(&rendered) || !found.contains(PASSWORD) {
        history.note("unsearched", json!({"found": found}));
    }
    let known = [rendered.as_str(), PASSWORD, program.as_str()];
    for file in found.iter().filter(|file| !known.contains(&file.as_str())) {
        history.note("secret", json!({"place": file}));
    }
}
