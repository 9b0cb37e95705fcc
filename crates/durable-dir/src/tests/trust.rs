//! Which paths are trusted.

use std::io::ErrorKind;

use super::*;

fn untrusted<T>(result: Result<T, DirError>) -> String {
    match result {
        Err(DirError::Untrusted { path, why }) => format!("{}: {why}", path.display()),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it was trusted"),
    }
}

#[test]
fn a_directory_behind_a_link_of_ours_is_opened() {
    let (_held, path, _dir) = place();
    fs::create_dir(path.join("dotfiles")).unwrap();
    symlink(path.join("dotfiles"), path.join("absolute")).unwrap();
    fs::create_dir(path.join("config")).unwrap();
    symlink("../dotfiles", path.join("config/relative")).unwrap();
    for link in ["absolute", "config/relative"] {
        let dir = Dir::open(path.join(link), Trust::Owned).unwrap();
        dir.write("unit", link.as_bytes(), 0o644).unwrap();
        assert_eq!(fs::read(path.join("dotfiles/unit")).unwrap(), link.as_bytes());
    }
}

#[test]
fn a_path_below_a_directory_that_anyone_may_write_to_is_refused() {
    let (_held, path, _dir) = place();
    fs::create_dir_all(path.join("open/mine")).unwrap();
    set_mode(&path.join("open"), 0o777);
    symlink("open", path.join("link")).unwrap();
    for through in ["open/mine", "open", "link", "link/mine"] {
        let why = untrusted(Dir::open(path.join(through), Trust::Owned));
        assert!(why.contains("/open: anyone may write to it"), "{why}");
    }
    untrusted(Dir::create(path.join("open/new"), 0o700, Trust::Owned));
    assert_eq!(names(&path.join("open")), ["mine"]);
}

#[test]
fn the_sticky_bit_makes_a_shared_parent_passable_but_not_usable() {
    let (_held, path, _dir) = place();
    fs::create_dir_all(path.join("tmp/inner")).unwrap();
    set_mode(&path.join("tmp"), 0o1777);
    symlink("inner/..", path.join("tmp/link")).unwrap();
    symlink(".", path.join("tmp/here")).unwrap();
    Dir::open(path.join("tmp/inner"), Trust::Owned).unwrap();
    for usable in ["tmp", "tmp/link", "tmp/here"] {
        untrusted(Dir::open(path.join(usable), Trust::Owned));
    }
}

#[test]
fn a_loop_of_links_ends() {
    let (_held, path, _dir) = place();
    symlink("b", path.join("a")).unwrap();
    symlink("a", path.join("b")).unwrap();
    let why = untrusted(Dir::open(path.join("a"), Trust::Owned));
    assert!(why.contains("symbolic links"), "{why}");
}

#[test]
fn a_file_in_the_middle_of_a_path_is_named() {
    let (_held, path, _dir) = place();
    fs::write(path.join("file"), b"").unwrap();
    for below in ["file", "file/more"] {
        match Dir::open(path.join(below), Trust::Owned).unwrap_err() {
            DirError::System { path: found, source, .. } => {
                assert_eq!((found, source.kind()), (path.join("file"), ErrorKind::NotADirectory));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(Dir::open_existing(path.join("no/such"), Trust::Owned).unwrap().map(drop), None);
}

#[test]
fn a_file_that_others_may_change_is_refused_unless_any_owner_is_trusted() {
    let (_held, path, dir) = place();
    dir.write("file", b"x", 0o622).unwrap();
    let file = path.join("file");
    assert!(untrusted(crate::read_file(&file, 9, Trust::Owned)).contains("anyone may write"));
    untrusted(crate::status_of(&file, Trust::Owned));
    assert!(crate::read_file(&file, 9, Trust::AnyOwner).unwrap().is_some());
}

#[test]
fn missing_parents_are_made_with_exactly_the_asked_mode() {
    let (_held, path, _dir) = place();
    for mode in [0o700, 0o755, 0o751] {
        let deep = path.join(format!("{mode:o}/b/c"));
        let dir = Dir::create(&deep, mode, Trust::Owned).unwrap();
        dir.write("file", b"x", 0o600).unwrap();
        for made in [deep.as_path(), deep.parent().unwrap()] {
            assert_eq!(mode_of(made), mode);
        }
    }
}

#[test]
fn a_directory_that_is_there_keeps_its_mode_until_it_is_set() {
    let (_held, path, _dir) = place();
    fs::create_dir(path.join("there")).unwrap();
    set_mode(&path.join("there"), 0o750);
    let dir = Dir::create(path.join("there"), 0o700, Trust::Owned).unwrap();
    assert_eq!(dir.own_status().unwrap().mode, 0o750);
    dir.set_mode(0o700).unwrap();
    assert_eq!(mode_of(&path.join("there")), 0o700);
}

#[test]
fn a_missing_directory_behind_a_link_is_made_where_the_link_leads() {
    let (_held, path, _dir) = place();
    symlink("later", path.join("link")).unwrap();
    Dir::create(path.join("link/units"), 0o700, Trust::Owned).unwrap();
    assert!(path.join("later/units").is_dir());
}

#[test]
fn the_directory_stays_the_one_that_was_opened() {
    let (_held, path, _dir) = place();
    fs::create_dir(path.join("a")).unwrap();
    fs::create_dir(path.join("b")).unwrap();
    let dir = Dir::open(path.join("a"), Trust::Owned).unwrap();
    fs::rename(path.join("a"), path.join("moved")).unwrap();
    symlink("b", path.join("a")).unwrap();
    dir.write("file", b"x", 0o600).unwrap();
    assert_eq!(names(&path.join("moved")), ["file"]);
    assert!(names(&path.join("b")).is_empty());
}

#[test]
fn writing_into_a_removed_directory_is_not_found() {
    let (_held, path, _dir) = place();
    fs::create_dir(path.join("a")).unwrap();
    let dir = Dir::open(path.join("a"), Trust::Owned).unwrap();
    fs::remove_dir(path.join("a")).unwrap();
    assert!(is_not_found(&dir.write("file", b"x", 0o600).unwrap_err()));
    assert!(is_not_found(&dir.link("link", "x").unwrap_err()));
}

#[test]
fn errors_show_control_characters_escaped_and_do_not_repeat_their_cause() {
    let path = Path::new("/x\u{1b}[31m\n");
    let error = DirError::system("open", path, rustix::io::Errno::NOENT);
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(!text.contains(&source), "{text}");
}
