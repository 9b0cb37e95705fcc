//! Links are replaced atomically, and never followed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

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
        assert!(dir.remove("link").unwrap());
    }
    assert_eq!(fs::read(path.join("file")).unwrap(), b"untouched");
    assert_eq!(names(&path), ["directory", "file"]);
}

#[test]
fn only_a_link_has_a_target_which_is_read_as_it_is() {
    let (_held, path, dir) = place();
    irregular(&path);
    for name in ["fifo", "directory", "regular", "socket", "missing"] {
        assert_eq!(dir.read_link(name).unwrap(), None, "{name}");
    }
    let long = "x/".repeat(1000);
    for target in [b"/etc/passwd".as_slice(), b"../..", b"./file", b"\xff", long.as_bytes()] {
        let target = OsStr::from_bytes(target);
        dir.remove("link").unwrap();
        symlink(target, path.join("link")).unwrap();
        assert_eq!(dir.read_link("link").unwrap().as_deref(), Some(Path::new(target)));
    }
}
