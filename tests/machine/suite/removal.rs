//! Removed companions leave nothing.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::guest::{archy, measured};
use crate::node::{BITCOIN, CONFIG, Companion, ELECTRS, LND, companion, installed};

#[test]
fn removed_app_leaves_no_objects_and_other_apps_unchanged() {
    installed();
    let others = [LND, ELECTRS].map(Companion::container);
    let directory = Path::new(CONFIG).parent().unwrap();
    assert!(directory.is_dir());
    let started = Instant::now();
    companion(&["remove", "bitcoin-knots"]).exits(0);
    measured("removal of one app", started);
    assert!(BITCOIN.is_absent());
    assert!(!fs::exists(directory).unwrap(), "{} is left", directory.display());
    let (status, _) = BITCOIN.status();
    assert_eq!(status["health"], "not-installed");
    assert_eq!([LND, ELECTRS].map(Companion::container), others);
    companion(&["status"]).exits(0);
    let _again = companion(&["remove", "bitcoin-knots"]).exits(0);
}

#[test]
fn removal_deletes_rendered_files_without_the_link() {
    installed();
    let directory = Path::new(CONFIG).parent().unwrap();
    for script in [
        "rm \"$1\"",
        "rm \"$(realpath \"$1\")\"",
        "rm \"$1\"; echo '# edited' >\"$1\"",
        "ln -sfn /etc/hostname \"$1\"; echo '# edited' >\"$1.0123456789abcdef\"",
    ] {
        archy(&["sh", "-ec", script, "sh", CONFIG]).good();
        companion(&["remove", "bitcoin-knots"]).exits(0);
        assert!(BITCOIN.is_absent() && !fs::exists(directory).unwrap(), "{script}");
        companion(&["install", "bitcoin-knots"]).exits(0);
        assert!(BITCOIN.is_up(), "{script}");
    }
    assert_eq!(fs::read_to_string("/etc/hostname").unwrap().trim(), "companion-machine");
}
