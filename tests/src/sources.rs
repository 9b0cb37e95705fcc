//! The sources of the workspace, for tests that inspect them.

#![expect(clippy::panic, reason = "an unreadable file fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// The text of the file at `path`, relative to the root.
///
/// # Panics
/// If it cannot be read.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files of the workspace, by their path from its root.
///
/// # Panics
/// If one cannot be read.
pub fn sources() -> Vec<(PathBuf, String)> {
    let mut pending = vec![root().join("crates"), root().join("tests")];
    let mut found = Vec::new();
    while let Some(directory) = pending.pop() {
        let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{error}"));
        for entry in entries {
            let path = entry.unwrap_or_else(|error| panic!("{error}")).path();
            if path.is_dir() && !path.ends_with("target") {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root()).unwrap_or(&path).to_owned();
                let text = read(&relative);
                found.push((relative, text));
            }
        }
    }
    assert!(found.len() > 100, "the walk finds the sources");
    found
}
