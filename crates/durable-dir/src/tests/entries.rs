//! Listing, and sweeping after crashes.

use super::*;

#[test]
fn entries_are_sorted_and_know_their_kind() {
    let (_held, path, dir) = place();
    irregular(&path);
    let listed: Vec<(String, FileKind)> = dir
        .entries(10)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.name_str().unwrap().to_owned(), entry.kind))
        .collect();
    let expected = [
        ("dangling", FileKind::Symlink),
        ("directory", FileKind::Directory),
        ("fifo", FileKind::Fifo),
        ("link", FileKind::Symlink),
        ("regular", FileKind::Regular),
        ("socket", FileKind::Socket),
    ];
    assert_eq!(listed, expected.map(|(name, kind)| (name.to_owned(), kind)));
}

#[test]
fn listing_is_repeatable_and_bounded() {
    let (_held, _path, dir) = place();
    for name in ["a", "b", "c"] {
        dir.write(name, b"", 0o600).unwrap();
    }
    assert_eq!(dir.entries(3).unwrap(), dir.entries(3).unwrap());
    let error = dir.entries(2).unwrap_err();
    assert!(matches!(error, DirError::TooLarge { limit: 2, .. }), "{error}");
}

#[test]
fn a_name_that_is_not_text_is_listed() {
    use std::os::unix::ffi::OsStrExt as _;
    let (_held, path, dir) = place();
    fs::write(path.join(std::ffi::OsStr::from_bytes(b"\xff")), b"").unwrap();
    assert_eq!(dir.entries(1).unwrap()[0].name_str(), None);
}

#[test]
fn sweeping_removes_only_our_temporary_files() {
    let (_held, path, dir) = place();
    let kept = ["web.container", ".web.container.tmp", ".web.abcdefgh.container", "notes.tmp"];
    for name in kept {
        fs::write(path.join(name), b"x").unwrap();
    }
    fs::write(path.join(".web.container.abcdefgh.tmp"), b"half").unwrap();
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
    assert_eq!(dir.sweep_temporary_files().unwrap(), 2);
    assert_eq!(dir.sweep_temporary_files().unwrap(), 0);
    assert_eq!(names(&path).len(), kept.len() + 2 + usize::from(others));
    assert!(!path.join(".web.container.abcdefgh.tmp").exists());
    assert!(!path.join(".web.container.dddddddd.tmp").is_symlink());
}

#[test]
fn the_temporary_file_of_the_longest_name_is_swept() {
    let (_held, path, dir) = place();
    let name = "x".repeat(crate::name::MAX_NAME);
    dir.write(&name, b"x", 0o600).unwrap();
    fs::write(path.join(format!(".{name}.abcdefgh.tmp")), b"half").unwrap();
    assert_eq!(dir.sweep_temporary_files().unwrap(), 1);
    assert_eq!(names(&path), [name]);
}

#[test]
fn sweeping_for_one_file_leaves_those_of_others() {
    let (_held, path, dir) = place();
    fs::write(path.join(".a.abcdefgh.tmp"), b"half").unwrap();
    fs::write(path.join(".b.abcdefgh.tmp"), b"being written").unwrap();
    assert_eq!(dir.sweep_temporary_files_of(|name| name == "a").unwrap(), 1);
    assert_eq!(names(&path), [".b.abcdefgh.tmp"]);
}
