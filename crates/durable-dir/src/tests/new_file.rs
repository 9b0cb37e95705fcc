//! A file that another program writes.

use std::io::{self, Read as _};

use super::*;

#[test]
fn a_draft_gets_its_name_when_it_is_committed() {
    let (_held, path, dir) = place();
    dir.write("file", b"old", 0o644).unwrap();
    let new_file = dir.new_file("file").unwrap();
    assert_eq!(mode_of(&new_file.path()), 0o600);
    fs::write(new_file.path(), b"new").unwrap();
    assert_eq!(fs::read(path.join("file")).unwrap(), b"old");
    let mut read = String::new();
    new_file.commit(0o600, |file| file.read_to_string(&mut read)).unwrap();
    assert_eq!((read.as_str(), fs::read(path.join("file")).unwrap()), ("new", b"new".to_vec()));
    assert_eq!((names(&path), mode_of(&path.join("file"))), (vec!["file".to_owned()], 0o600));
}

#[test]
fn a_draft_that_is_dropped_or_refused_leaves_nothing() {
    let (_held, path, dir) = place();
    drop(dir.new_file("file").unwrap());
    let refused =
        dir.new_file("file").unwrap().commit(0o600, |_| Err::<(), _>(io::Error::other("x")));
    assert!(matches!(refused, Err(DirError::System { .. })), "{refused:?}");
    // The other program may have removed it.
    let new_file = dir.new_file("file").unwrap();
    fs::remove_file(new_file.path()).unwrap();
    assert!(is_not_found(&new_file.commit(0o600, |_| Ok(())).unwrap_err()));
    assert_eq!(names(&path), Vec::<String>::new());
}
