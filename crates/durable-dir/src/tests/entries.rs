//! Listing, and sweeping after crashes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::*;

#[test]
fn entries_are_sorted_bounded_and_need_not_be_text() {
    let (_held, path, dir) = place();
    let expected = [b"a".as_slice(), b"b", b"\xff"].map(|name| OsStr::from_bytes(name).to_owned());
    for name in expected.iter().rev() {
        fs::write(path.join(name), b"").unwrap();
    }
    assert_eq!(dir.entries(3).unwrap(), expected);
    assert_eq!(dir.entries(3).unwrap(), expected, "a second time");
    let error = dir.entries(2).unwrap_err();
    assert!(matches!(error, DirError::TooLarge { limit: 2, .. }), "{error}");
}

#[test]
fn sweeping_removes_only_our_temporary_files() {
    let (_held, path, dir) = place();
    let kept = ["web.container", ".web.container.tmp", ".web.abcdefgh.container", "notes.tmp"];
    for name in kept {
        fs::write(path.join(name), b"x").unwrap();
    }
    fs::write(path.join(".web.container.abcdefgh.tmp"), b"half").unwrap();
    std::mem::forget(dir.new_file("web.container").unwrap());
    fs::create_dir(path.join(".web.container.bbbbbbbb.tmp")).unwrap();
    make_fifo(&path.join(".web.container.cccccccc.tmp"));
    symlink("notes.tmp", path.join(".web.container.dddddddd.tmp")).unwrap();
    // Only root can create a link of another user.
    let others = rustix::process::geteuid().is_root();
    if others {
        let other = path.join(".web.container.eeeeeeee.tmp");
        symlink("notes.tmp", &other).unwrap();
        std::os::unix::fs::lchown(other, Some(12345), None).unwrap();
    }
    assert_eq!(dir.sweep_temporary_files().unwrap(), 3);
    assert_eq!(dir.sweep_temporary_files().unwrap(), 0);
    assert_eq!(names(&path).len(), kept.len() + 2 + usize::from(others));
    assert!(!path.join(".web.container.abcdefgh.tmp").exists());
    assert!(!path.join(".web.container.dddddddd.tmp").is_symlink());
}

#[test]
fn temporary_files_and_links_of_the_longest_name_are_swept() {
    let (_held, path, dir) = place();
    let (name, target) = ("x".repeat(crate::name::MAX_NAME), "y".repeat(crate::name::MAX_NAME));
    dir.write(&name, b"x", 0o600).unwrap();
    dir.link(&name, &target).unwrap();
    fs::write(path.join(format!(".{name}.abcdefgh.tmp")), b"half").unwrap();
    symlink("y", path.join(format!(".{name}.bbbbbbbb.tmp"))).unwrap();
    assert_eq!(dir.sweep_temporary_files().unwrap(), 2);
    assert_eq!(names(&path), [name]);
}

#[test]
fn sweeping_for_one_file_leaves_those_of_others() {
    let (_held, path, dir) = place();
    fs::write(path.join(".a.abcdefgh.tmp"), b"half").unwrap();
    symlink("neighbour", path.join(".a.bbbbbbbb.tmp")).unwrap();
    fs::write(path.join(".b.abcdefgh.tmp"), b"being written").unwrap();
    assert_eq!(dir.sweep_temporary_files_of(|name| name == "a").unwrap(), 2);
    assert_eq!(names(&path), [".b.abcdefgh.tmp"]);
}
