//! What is looked for when a chaos run is over: leftovers, and the secret where it must not be.

use std::fs;

use serde_json::json;

use super::history::History;
use super::one_harms::CANARY;
use crate::guest::{archy, podman, root, root_reading, systemctl};
use crate::node::{CONFIG, PASSWORD, STATE, UNITS};

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

/// Notes all that it finds.
pub(super) fn note(history: &mut History) {
    let find = r#"find "$@" -name '.*.tmp' 2>/dev/null
        find /run/user/1000/companion-stage-* -mindepth 1 2>/dev/null
        podman ps --all --external --format '{{.Names}}' | while read -r name; do
            test "$name" = stranger || systemctl --user --quiet is-active "$name.service" ||
                echo "container $name"
        done"#;
    let places = [UNITS, STATE, "/home/archy/chaos", "/var/lib/archipelago/bitcoin-ui"];
    let ran = archy(&[&["sh", "-c", find, "sh"], &places[..]].concat());
    for what in ran.good().lines() {
        history.note("left over", json!({"what": what}));
    }
    let said = [
        ("systemctl show", systemctl(&["show", "*"]).words()),
        ("podman inspect", podman(&["inspect", "archy-bitcoin-ui"]).words()),
        ("the journal", root(&["journalctl", "--no-pager", "--all", "--output=export"]).words()),
    ];
    for (place, words) in said {
        assert!(words.len() > 100, "{place} says something");
        if words.contains(CANARY) {
            history.note("secret", json!({"place": place}));
        }
    }
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let path = entry.path().join(file);
            let bytes = fs::read(&path).unwrap_or_default();
            if String::from_utf8_lossy(&bytes).contains(CANARY) {
                history.note("secret", json!({"place": path.display().to_string()}));
            }
        }
    }
    // Read from its standard input: an argument would be found in /proc.
    let script = "grep -rlF --binary-files=text --devices=skip -f - \
                  /home /run /tmp /var /etc /opt /dev/shm 2>/dev/null; true";
    let found = root_reading(&["sh", "-c", script], CANARY).good();
    let program = std::env::current_exe().unwrap().display().to_string();
    for file in found.lines().filter(|file| ![CONFIG, PASSWORD, program.as_str()].contains(file)) {
        history.note("secret", json!({"place": file}));
    }
}
