//! At most one holder.

use std::cell::Cell;
use std::fs::File;

use super::*;
use crate::LockFile;

fn lock(dir: &Dir) -> Option<LockFile> {
    LockFile::try_lock(dir, "lock", 0o600).unwrap()
}

#[test]
fn a_second_holder_is_refused_until_the_first_lets_go() {
    let (_held, path, dir) = place();
    fs::write(path.join("lock"), b"").unwrap();
    set_mode(&path.join("lock"), 0o666);
    let first = lock(&dir).unwrap();
    assert_eq!(mode_of(&path.join("lock")), 0o600, "others cannot take it");
    assert!(lock(&dir).is_none());
    drop(first);
    assert!(lock(&dir).is_some());
}

#[test]
fn the_lock_is_freed_when_its_holder_dies() {
    if let Some(path) = rerun_place() {
        let dir = Dir::open(path, Trust::Owned).unwrap();
        let _held = lock(&dir).unwrap();
        dir.write("held", b"", 0o600).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .unwrap();
    }
    let (_held, path, dir) = place();
    let ended = rerun_output("lock::the_lock_is_freed_when_its_holder_dies", ":", &path);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(9));
    assert_eq!(names(&path), ["held", "lock"]);
    assert!(lock(&dir).is_some());
}

#[test]
fn a_removed_lock_file_excludes_no_process_and_is_recreated() {
    let (_held, path, dir) = place();
    let file = path.join("lock");
    let opened = Cell::new(0);
    let open = || {
        let lock = File::options().create(true).append(true).open(&file).unwrap();
        // Somebody removes the file of the first attempt before it is locked.
        if opened.replace(opened.get() + 1) == 0 {
            fs::remove_file(&file).unwrap();
        }
        Ok(lock)
    };
    let first = LockFile::take(file.clone(), open).unwrap().unwrap();
    assert_eq!((opened.get(), first.is_in_place()), (2, true));
    assert!(lock(&dir).is_none());
    fs::remove_file(&file).unwrap();
    assert!(!first.is_in_place());
    assert!(lock(&dir).is_some_and(|second| second.is_in_place()));
}

#[test]
fn only_a_regular_file_of_ours_is_locked() {
    let (_held, path, dir) = place();
    for (name, kind) in irregular(&path) {
        assert!(is_irregular(LockFile::try_lock(&dir, name, 0o600), kind), "{name}");
    }
    assert!(!path.join("nowhere").exists());
    drop(lock(&dir));
    // Only root can create a file of another user.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path.join("lock"), Some(12345), None).unwrap();
        let error = LockFile::try_lock(&dir, "lock", 0o600).unwrap_err();
        assert!(matches!(error, DirError::Untrusted { .. }), "{error}");
    }
}
