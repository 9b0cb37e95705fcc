//! The crate's guarantees on a real file system.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Dir, DirError, FileKind, Trust};

mod entries;
mod link;
mod lock;
mod new_file;
mod read;
mod sync;
mod trust;
mod write;

/// A directory of mode 0700 whose path has no links, and a `Dir` on it.
fn place() -> (TempDir, PathBuf, Dir) {
    let held = tempfile::tempdir().unwrap();
    let path = held.path().canonicalize().unwrap();
    let dir = Dir::open(&path, Trust::Owned).unwrap();
    (held, path, dir)
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn make_fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
}

/// Creates one object of each kind other than a regular file below `path`.
fn irregular(path: &Path) -> Vec<(&'static str, FileKind)> {
    make_fifo(&path.join("fifo"));
    fs::create_dir(path.join("directory")).unwrap();
    fs::write(path.join("regular"), b"untouched").unwrap();
    symlink("regular", path.join("link")).unwrap();
    symlink("nowhere", path.join("dangling")).unwrap();
    std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
    vec![
        ("fifo", FileKind::Fifo),
        ("directory", FileKind::Directory),
        ("link", FileKind::Symlink),
        ("dangling", FileKind::Symlink),
        ("socket", FileKind::Socket),
    ]
}

fn is_irregular<T>(result: Result<T, DirError>, expected: FileKind) -> bool {
    matches!(result, Err(DirError::NotARegularFile { kind, .. }) if kind == expected)
}

fn is_not_found(error: &DirError) -> bool {
    error.system_kind() == Some(std::io::ErrorKind::NotFound)
}

/// The working directory of the process started by [`rerun`].
const PLACE: &str = "DURABLE_DIR_TEST_PLACE";

fn rerun_place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

/// Runs the test `name` again in a separate process, after `setup` in a shell.
fn rerun(name: &str, setup: &str, place: &Path) {
    let output = rerun_output(name, setup, place);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("1 passed"), "{shown}");
}

/// As [`rerun`], but returns the output whether or not it succeeds.
fn rerun_output(name: &str, setup: &str, place: &Path) -> std::process::Output {
    std::process::Command::new("/bin/sh")
        .args(["-c", &format!("{setup}; exec \"$0\" --exact \"tests::$1\" 2>&1")])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(PLACE, place)
        .stdout(std::process::Stdio::piped())
        .output()
        .unwrap()
}
