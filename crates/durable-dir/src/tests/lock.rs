//! At most one holder.

use super::*;
use crate::LockFile;

#[test]
fn a_second_holder_is_refused_until_the_first_lets_go() {
    let (_held, path, dir) = place();
    let mut first = LockFile::open(&dir, "lock", 0o600).unwrap();
    let mut second = LockFile::open(&dir, "lock", 0o600).unwrap();
    assert!(first.try_lock().unwrap());
    assert!(first.try_lock().unwrap());
    assert!(!second.try_lock().unwrap());
    drop(first);
    assert!(second.try_lock().unwrap());
    assert_eq!(mode_of(&path.join("lock")), 0o600);
}

#[test]
fn the_lock_is_freed_when_its_holder_dies() {
    if let Some(path) = rerun_place() {
        let dir = Dir::open(path, Trust::Owned).unwrap();
        let mut lock = LockFile::open(&dir, "lock", 0o600).unwrap();
        assert!(lock.try_lock().unwrap());
        dir.write("held", b"", 0o600).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .unwrap();
    }
    let (_held, path, dir) = place();
    let ended = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::lock::the_lock_is_freed_when_its_holder_dies"])
        .env(PLACE, &path)
        .output()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(9));
    assert_eq!(names(&path), ["held", "lock"]);
    let mut lock = LockFile::open(&dir, "lock", 0o600).unwrap();
    assert!(lock.try_lock().unwrap());
}

#[test]
fn a_removed_lock_file_excludes_no_process_and_is_recreated() {
    let (_held, path, dir) = place();
    let mut first = LockFile::open(&dir, "lock", 0o600).unwrap();
    fs::remove_file(path.join("lock")).unwrap();
    let mut second = LockFile::open(&dir, "lock", 0o600).unwrap();
    assert!(second.try_lock().unwrap());
    assert!(!first.try_lock().unwrap());
    drop(second);
    assert!(first.try_lock().unwrap());
}

#[test]
fn a_lock_file_that_others_could_open_is_closed() {
    let (_held, path, dir) = place();
    fs::write(path.join("lock"), b"").unwrap();
    set_mode(&path.join("lock"), 0o666);
    LockFile::open(&dir, "lock", 0o600).unwrap();
    assert_eq!(mode_of(&path.join("lock")), 0o600);
}

#[test]
fn only_a_regular_file_is_locked() {
    let (_held, path, dir) = place();
    for (name, kind) in irregular(&path) {
        assert!(is_irregular(LockFile::open(&dir, name, 0o600), kind), "{name}");
    }
    assert!(!path.join("nowhere").exists());
}

#[test]
fn another_users_lock_file_is_refused() {
    let (_held, path, dir) = place();
    LockFile::open(&dir, "lock", 0o600).unwrap();
    // Only root can create a file of another user.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path.join("lock"), Some(12345), None).unwrap();
        let error = LockFile::open(&dir, "lock", 0o600).unwrap_err();
        assert!(matches!(error, DirError::Untrusted { .. }), "{error}");
    }
}
