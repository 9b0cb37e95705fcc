//! Writing is atomic, with the mode from the first byte.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

#[test]
fn a_file_is_written_and_replaced() {
    let (_held, path, dir) = place();
    for (bytes, mode) in [(b"one".as_slice(), 0o600), (b"", 0o644), (b"three", 0o600)] {
        dir.write("file", bytes, mode).unwrap();
        assert_eq!(fs::read(path.join("file")).unwrap(), bytes);
        assert_eq!(mode_of(&path.join("file")), mode);
        assert_eq!(names(&path), ["file"]);
    }
}

#[test]
fn a_file_that_is_right_already_is_made_durable_and_not_touched() {
    use std::os::unix::fs::MetadataExt as _;
    let (_held, path, dir) = place();
    assert!(!dir.persist("file").unwrap());
    fs::write(path.join("file"), b"right").unwrap();
    let before = fs::metadata(path.join("file")).unwrap();
    assert!(dir.persist("file").unwrap());
    let after = fs::metadata(path.join("file")).unwrap();
    assert_eq!(
        (before.ino(), before.modified().unwrap()),
        (after.ino(), after.modified().unwrap())
    );
    assert_eq!(fs::read(path.join("file")).unwrap(), b"right");
    std::os::unix::fs::symlink("file", path.join("link")).unwrap();
    assert!(matches!(dir.persist("link"), Err(DirError::NotARegularFile { .. })));
}

#[test]
fn a_hard_link_of_the_old_file_keeps_the_old_bytes() {
    let (_held, path, dir) = place();
    let writes: [&dyn Fn(); 2] =
        [&|| dir.write("file", b"new", 0o600).unwrap(), &|| dir.link("file", "neighbour").unwrap()];
    for (other, write) in ["one", "two"].iter().zip(writes) {
        dir.write("file", b"old", 0o600).unwrap();
        fs::hard_link(path.join("file"), path.join(other)).unwrap();
        write();
        assert_eq!(fs::read(path.join(other)).unwrap(), b"old");
    }
    assert_eq!(fs::read_link(path.join("file")).unwrap(), Path::new("neighbour"));
}

/// The `umask` belongs to a process, so each case runs in a separate process.
#[test]
fn no_umask_changes_the_asked_mode() {
    if let Some(path) = rerun_place() {
        let dir = Dir::open(&path, Trust::Owned).unwrap();
        dir.write("file", b"x", 0o640).unwrap();
        Dir::create(path.join("made/deep"), 0o750, Trust::Owned).unwrap();
        crate::LockFile::try_lock(&dir, "lock", 0o600).unwrap();
        return;
    }
    for umask in ["0", "077", "0377"] {
        let (_held, path, _dir) = place();
        rerun("write::no_umask_changes_the_asked_mode", &format!("umask {umask}"), &path);
        assert_eq!(mode_of(&path.join("file")), 0o640, "umask {umask}");
        assert_eq!(mode_of(&path.join("made")), 0o750, "umask {umask}");
        assert_eq!(mode_of(&path.join("made/deep")), 0o750, "umask {umask}");
        assert_eq!(mode_of(&path.join("lock")), 0o600, "umask {umask}");
    }
}

#[test]
fn a_reader_sees_the_old_bytes_or_target_or_the_new_one_whole() {
    let (_held, path, dir) = place();
    let versions = [vec![b'a'; 70_000], vec![b'b'; 50_000]];
    let write = |turn: usize| {
        dir.write("file", &versions[turn % 2], 0o600).unwrap();
        dir.link("link", ["0", "1"][turn % 2]).unwrap();
    };
    write(1);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0_u32;
            while !done.load(Ordering::Acquire) {
                let bytes = fs::read(path.join("file")).unwrap();
                assert!(versions.contains(&bytes), "{} bytes, mixed or truncated", bytes.len());
                let target = fs::read_link(path.join("link")).unwrap();
                assert!(["0", "1"].map(Path::new).contains(&target.as_path()), "{target:?}");
                seen += 1;
            }
            seen
        });
        (0..100).for_each(write);
        done.store(true, Ordering::Release);
        assert!(reader.join().unwrap() > 0);
    });
}

#[test]
fn only_regular_files_are_replaced_or_removed() {
    let (_held, path, dir) = place();
    let planted = irregular(&path);
    let before = names(&path);
    for (name, kind) in planted {
        assert!(is_irregular(dir.write(name, b"x", 0o600), kind), "{name}");
        assert!(
            is_irregular(dir.new_file(name).unwrap().commit(0o600, |_| Ok(())), kind),
            "{name}"
        );
        // Links are replaced by links, and removed.
        if kind != FileKind::Symlink {
            assert!(is_irregular(dir.link(name, "regular"), kind), "{name}");
            assert!(is_irregular(dir.remove(name), kind), "{name}");
        }
        assert_eq!(dir.status(name).unwrap().unwrap().kind, kind, "{name}");
    }
    assert_eq!(fs::read(path.join("regular")).unwrap(), b"untouched");
    assert_eq!(names(&path), before);
}

/// Uses a limit of the process, because filling a disk requires privileges.
#[test]
fn a_write_that_fails_half_way_leaves_the_old_file_and_no_temporary_one() {
    if let Some(path) = rerun_place() {
        let dir = Dir::open(path, Trust::Owned).unwrap();
        let error = dir.write("file", &[b'n'; 8192], 0o600).unwrap_err();
        assert_eq!(error.system_kind(), Some(std::io::ErrorKind::FileTooLarge), "{error}");
        assert!(dir.write_new("another", &[b'n'; 8192], 0o600).is_err());
        return;
    }
    let (_held, path, dir) = place();
    dir.write("file", b"old", 0o600).unwrap();
    // `ulimit -f` counts units of 512 or 1024 bytes; the signal of the limit is ignored, so the write fails.
    rerun(
        "write::a_write_that_fails_half_way_leaves_the_old_file_and_no_temporary_one",
        "trap '' XFSZ; ulimit -f 2",
        &path,
    );
    assert_eq!(fs::read(path.join("file")).unwrap(), b"old");
    assert_eq!(names(&path), ["file"]);
}

#[test]
fn of_many_that_write_a_new_file_one_succeeds() {
    let (_held, path, dir) = place();
    let winners: Vec<u8> = thread::scope(|scope| {
        let tries: Vec<_> = (0..8_u8)
            .map(|id| {
                let dir = &dir;
                scope.spawn(move || dir.write_new("key", &[id], 0o600).unwrap().then_some(id))
            })
            .collect();
        tries.into_iter().filter_map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(winners.len(), 1);
    assert_eq!(fs::read(path.join("key")).unwrap(), winners);
    assert_eq!(names(&path), ["key"]);
}

#[test]
fn a_file_of_ours_may_be_replaced_where_unmanaged_ones_may_not() {
    let (_held, path, dir) = place();
    dir.write_unless_unmanaged("file", b"1", 0o600).unwrap();
    dir.write_unless_unmanaged("file", b"2", 0o600).unwrap();
    assert_eq!(fs::read(path.join("file")).unwrap(), b"2");
    // Only root can create a file of another user.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path.join("file"), Some(12345), None).unwrap();
        let error = dir.write_unless_unmanaged("file", b"3", 0o600).unwrap_err();
        assert!(matches!(error, DirError::Untrusted { .. }), "{error}");
        assert_eq!(fs::read(path.join("file")).unwrap(), b"2");
    }
}

#[test]
fn only_an_empty_directory_is_removed() {
    let (_held, path, dir) = place();
    fs::create_dir_all(path.join("full/inner")).unwrap();
    fs::create_dir(path.join("empty")).unwrap();
    symlink("empty", path.join("link")).unwrap();
    fs::write(path.join("file"), b"x").unwrap();
    for name in ["full", "link", "file", "missing"] {
        assert!(!dir.remove_empty_directory(name).unwrap(), "{name}");
    }
    assert!(dir.remove_empty_directory("empty").unwrap());
    assert_eq!(names(&path), ["file", "full", "link"]);
}

#[test]
fn names_that_lead_elsewhere_are_refused_by_every_call() {
    let (_held, path, dir) = place();
    let long = "x".repeat(crate::name::MAX_NAME + 1);
    for name in ["../x", "a/b", "/x", "", ".", "..", "a\0b", &long] {
        for refused in [
            dir.write(name, b"x", 0o600),
            dir.write_new(name, b"x", 0o600).map(drop),
            dir.read(name, 1).map(drop),
            dir.remove(name).map(drop),
            dir.remove_empty_directory(name).map(drop),
            dir.link(name, "x"),
            dir.link("x", name),
            dir.read_link(name).map(drop),
            dir.new_file(name).map(drop),
            crate::LockFile::try_lock(&dir, name, 0o600).map(drop),
        ] {
            assert!(matches!(refused, Err(DirError::InvalidName { .. })), "{name:?}");
        }
    }
    assert!(names(&path).is_empty());
}
