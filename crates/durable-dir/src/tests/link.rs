//! Links are replaced atomically, and never followed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

fn target(path: &Path) -> PathBuf {
    fs::read_link(path).unwrap()
}

#[test]
fn a_link_is_made_and_replaced() {
    let (_held, path, dir) = place();
    for neighbour in ["one", "two", "two", "missing"] {
        dir.link("link", neighbour).unwrap();
        assert_eq!(target(&path.join("link")), Path::new(neighbour));
        assert_eq!(dir.read_link("link").unwrap().as_deref(), Some(Path::new(neighbour)));
        assert_eq!(names(&path), ["link"]);
    }
}

#[test]
fn a_reader_sees_the_old_target_or_the_new_one() {
    let (_held, path, dir) = place();
    dir.link("link", "one").unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0_u32;
            while !done.load(Ordering::Acquire) {
                let target = target(&path.join("link"));
                assert!(["one", "two"].map(Path::new).contains(&target.as_path()), "{target:?}");
                seen += 1;
            }
            seen
        });
        for neighbour in ["two", "one"].repeat(100) {
            dir.link("link", neighbour).unwrap();
        }
        done.store(true, Ordering::Release);
        assert!(reader.join().unwrap() > 0);
    });
}

#[test]
fn a_link_replaces_a_regular_file_and_keeps_its_hard_links() {
    let (_held, path, dir) = place();
    dir.write("file", b"old", 0o600).unwrap();
    fs::hard_link(path.join("file"), path.join("other")).unwrap();
    dir.link("file", "neighbour").unwrap();
    assert_eq!(target(&path.join("file")), Path::new("neighbour"));
    assert_eq!(fs::read(path.join("other")).unwrap(), b"old");
}

#[test]
fn a_link_is_neither_followed_when_it_is_replaced_nor_when_it_is_removed() {
    let (_held, path, dir) = place();
    fs::write(path.join("file"), b"untouched").unwrap();
    fs::create_dir(path.join("directory")).unwrap();
    for behind in ["file", "directory", "nowhere", "link"] {
        symlink(behind, path.join("link")).unwrap();
        dir.link("link", "neighbour").unwrap();
        assert_eq!(target(&path.join("link")), Path::new("neighbour"));
        fs::remove_file(path.join("link")).unwrap();
        symlink(behind, path.join("link")).unwrap();
        assert!(dir.remove_link("link").unwrap());
        assert!(!dir.remove_link("link").unwrap());
    }
    assert_eq!(fs::read(path.join("file")).unwrap(), b"untouched");
    assert_eq!(names(&path), ["directory", "file"]);
}

#[test]
fn only_files_and_links_are_replaced_or_removed() {
    let (_held, path, dir) = place();
    let planted = irregular(&path);
    let before = names(&path);
    for (name, kind) in planted.into_iter().filter(|(_, kind)| *kind != FileKind::Symlink) {
        assert!(is_irregular(dir.link(name, "regular"), kind), "{name}");
        assert!(is_irregular(dir.remove_link(name), kind), "{name}");
        assert_eq!(dir.status(name).unwrap().unwrap().kind, kind, "{name}");
    }
    assert_eq!(names(&path), before);
}

#[test]
fn a_regular_file_is_removed_as_a_link_is() {
    let (_held, path, dir) = place();
    dir.write("file", b"x", 0o600).unwrap();
    assert!(dir.remove_link("file").unwrap());
    assert!(names(&path).is_empty());
}

#[test]
fn only_a_link_has_a_target() {
    let (_held, path, dir) = place();
    irregular(&path);
    for name in ["fifo", "directory", "regular", "socket", "missing"] {
        assert_eq!(dir.read_link(name).unwrap(), None, "{name}");
    }
    assert_eq!(dir.read_link("dangling").unwrap().as_deref(), Some(Path::new("nowhere")));
}

#[test]
fn a_target_is_read_as_it_is() {
    let (_held, path, dir) = place();
    let long = "x/".repeat(1000);
    for target in ["/etc/passwd", "../..", "./file", "\u{fffd}", &long] {
        symlink(target, path.join("link")).unwrap();
        assert_eq!(dir.read_link("link").unwrap().as_deref(), Some(Path::new(target)));
        dir.remove_link("link").unwrap();
    }
    let bytes = OsStr::from_bytes(b"\xff");
    symlink(bytes, path.join("link")).unwrap();
    assert_eq!(dir.read_link("link").unwrap().as_deref(), Some(Path::new(bytes)));
}

#[test]
fn a_temporary_link_of_a_crashed_process_is_swept() {
    let (_held, path, dir) = place();
    dir.link("link", "neighbour").unwrap();
    symlink("neighbour", path.join(".link.abcdefgh.tmp")).unwrap();
    symlink("neighbour", path.join(".other.abcdefgh.tmp")).unwrap();
    assert_eq!(dir.sweep_temporary_files_of(|name| name == "link").unwrap(), 1);
    assert_eq!(names(&path), [".other.abcdefgh.tmp", "link"]);
    assert_eq!(dir.sweep_temporary_files().unwrap(), 1);
    assert_eq!(names(&path), ["link"]);
}

#[test]
fn the_longest_names_are_linked_and_swept() {
    let (_held, path, dir) = place();
    let (name, neighbour) = ("x".repeat(crate::name::MAX_NAME), "y".repeat(crate::name::MAX_NAME));
    dir.link(&name, &neighbour).unwrap();
    symlink("y", path.join(format!(".{name}.abcdefgh.tmp"))).unwrap();
    assert_eq!(dir.sweep_temporary_files().unwrap(), 1);
    assert_eq!(names(&path), [name]);
}

#[test]
fn names_and_targets_that_lead_elsewhere_are_refused() {
    let (_held, path, dir) = place();
    let long = "x".repeat(crate::name::MAX_NAME + 1);
    for name in ["../x", "a/b", "/x", "", ".", "..", "a\0b", &long] {
        let refused = |error: DirError| matches!(error, DirError::InvalidName { .. });
        assert!(refused(dir.link(name, "x").unwrap_err()), "{name:?}");
        assert!(refused(dir.link("x", name).unwrap_err()), "{name:?}");
        assert!(refused(dir.read_link(name).unwrap_err()), "{name:?}");
        assert!(refused(dir.remove_link(name).unwrap_err()), "{name:?}");
    }
    assert!(names(&path).is_empty());
}

#[test]
fn linking_in_a_removed_directory_is_not_found() {
    let (_held, path, _dir) = place();
    fs::create_dir(path.join("a")).unwrap();
    let dir = Dir::open(path.join("a"), Trust::Owned).unwrap();
    fs::remove_dir(path.join("a")).unwrap();
    let error = dir.link("link", "x").unwrap_err();
    assert!(matches!(error, DirError::NotFound { .. }), "{error}");
}
