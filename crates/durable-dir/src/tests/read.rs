//! Reading is bounded and never blocks.

use super::*;
use crate::{FileStatus, read_file, status_of};

#[test]
fn bytes_mode_and_owner_come_from_one_look() {
    let (_held, path, dir) = place();
    fs::write(path.join("file"), b"bytes").unwrap();
    set_mode(&path.join("file"), 0o640);
    let found = dir.read("file", 5).unwrap().unwrap();
    let FileStatus { kind, mode, links, size, .. } = found.status;
    assert_eq!(found.bytes, b"bytes");
    assert_eq!((kind, mode, links, size), (FileKind::Regular, 0o640, 1, 5));
    assert!(found.status.is_ours());
    assert_eq!(dir.status("file").unwrap(), Some(found.status));
}

#[test]
fn a_missing_file_is_none() {
    let (_held, path, dir) = place();
    assert_eq!(dir.read("missing", 10).unwrap(), None);
    assert_eq!(dir.status("missing").unwrap(), None);
    assert_eq!(read_file(path.join("no/such"), 10, Trust::Owned).unwrap(), None);
    assert_eq!(status_of(path.join("no/such"), Trust::Owned).unwrap(), None);
}

#[test]
fn one_byte_over_the_limit_is_refused() {
    let (_held, path, dir) = place();
    fs::write(path.join("file"), b"123456").unwrap();
    let error = dir.read("file", 5).unwrap_err();
    assert!(matches!(error, DirError::TooLarge { limit: 5, .. }), "{error}");
    assert!(dir.read("file", 6).unwrap().is_some());
    // A file without a size.
    let error = read_file("/proc/self/maps", 16, Trust::Owned).unwrap_err();
    assert!(matches!(error, DirError::TooLarge { limit: 16, .. }), "{error}");
}

#[test]
fn reading_another_kind_of_file_fails_without_blocking() {
    let (_held, path, dir) = place();
    for (name, kind) in irregular(&path) {
        assert!(is_irregular(dir.read(name, 10), kind), "{name}");
        assert_eq!(dir.status(name).unwrap().unwrap().kind, kind, "{name}");
    }
    assert!(is_irregular(read_file(path.join("fifo"), 10, Trust::Owned), FileKind::Fifo));
    assert!(is_irregular(read_file(&path, 10, Trust::Owned), FileKind::Directory));
    assert!(is_irregular(read_file("/dev/zero", 10, Trust::AnyOwner), FileKind::Device));
}

#[test]
fn a_path_is_followed_through_links_of_ours_to_the_file() {
    let (_held, path, _dir) = place();
    fs::write(path.join("file"), b"behind").unwrap();
    symlink("file", path.join("link")).unwrap();
    for trust in [Trust::Owned, Trust::AnyOwner] {
        let found = read_file(path.join("link"), 10, trust).unwrap().unwrap();
        assert_eq!(found.bytes, b"behind");
    }
    assert_eq!(status_of(path.join("link"), Trust::Owned).unwrap().unwrap().size, 6);
}

#[test]
fn contents_are_never_printed() {
    let (_held, _path, dir) = place();
    dir.write("file", b"hunter2", 0o600).unwrap();
    let shown = format!("{:?}", dir.read("file", 10).unwrap());
    assert!(shown.contains("7 bytes") && !shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("104, 117"), "{shown}");
}
