//! What is synced to disk, and when.

use super::*;
use crate::sync::noted;

/// Returns the names of synced files, with the state found.
fn synced(path: &Path) -> Vec<(String, String)> {
    let inside = |(synced, found): (PathBuf, String)| {
        let name = synced.strip_prefix(path).unwrap().to_str().unwrap().to_owned();
        (name, found)
    };
    noted::take().into_iter().map(inside).collect()
}

#[test]
fn a_write_syncs_the_file_before_its_name_and_the_name_before_return() {
    let (_held, path, dir) = place();
    let writes: [(&str, &dyn Fn()); 4] = [
        ("file", &|| dir.write("file", b"new", 0o600).unwrap()),
        ("fresh", &|| assert!(dir.write_new("fresh", b"new", 0o600).unwrap())),
        ("file", &|| dir.link("file", "neighbour").unwrap()),
        ("link", &|| dir.link("link", "neighbour").unwrap()),
    ];
    fs::write(path.join("file"), b"old").unwrap();
    for (name, write) in writes {
        assert_eq!(synced(&path), []);
        write();
        let mut synced = synced(&path);
        let (directory, entries) = synced.pop().unwrap();
        assert_eq!(directory, "", "the directory is last");
        assert!(entries.split(' ').any(|entry| entry == name), "under its name: {entries}");
        assert!(!entries.contains(".tmp"), "and no other: {entries}");
        if path.join(name).is_symlink() {
            assert_eq!(synced, [], "a link has no bytes");
            continue;
        }
        let [(file, bytes)] = synced.try_into().unwrap();
        assert!(file.starts_with(&format!(".{name}.")) && file.ends_with(".tmp"), "{file}");
        assert_eq!(bytes, "new", "the file is synced whole");
    }
}

#[test]
fn a_removal_is_on_the_disk_before_it_is_reported_also_a_second_time() {
    let (_held, path, dir) = place();
    fs::create_dir(path.join("inner")).unwrap();
    fs::write(path.join("file"), b"x").unwrap();
    symlink("inner", path.join("link")).unwrap();
    for (name, left) in [("file", "inner link"), ("link", "inner")] {
        assert!(dir.remove(name).unwrap());
        assert_eq!(synced(&path), [(String::new(), left.to_owned())]);
        assert!(!dir.remove(name).unwrap());
        assert_eq!(synced(&path).len(), 1, "an earlier removal may have crashed before its sync");
    }
    assert!(dir.remove_empty_directory("inner").unwrap());
    assert_eq!(synced(&path), [(String::new(), String::new())]);
    fs::write(path.join(".file.abcdefgh.tmp"), b"half").unwrap();
    assert_eq!(dir.sweep_temporary_files().unwrap(), 1);
    assert_eq!(synced(&path), [(String::new(), String::new())]);
}

#[test]
fn an_unchanged_file_is_synced_with_its_name() {
    let (_held, path, dir) = place();
    fs::write(path.join("file"), b"right").unwrap();
    assert!(dir.persist("file").unwrap());
    let expected = [("file", "right"), ("", "file")];
    assert_eq!(synced(&path), expected.map(|(name, found)| (name.into(), found.into())));
}

#[test]
fn a_made_directory_is_on_the_disk_with_its_name_in_its_parent() {
    let (_held, path, _dir) = place();
    Dir::create(path.join("made/deep"), 0o700, Trust::Owned).unwrap();
    let expected = [("made", ""), ("", "made"), ("made/deep", ""), ("made", "deep")];
    assert_eq!(synced(&path), expected.map(|(name, found)| (name.into(), found.into())));
}

/// The limit's signal is not ignored here, so the process dies in the middle of its write.
#[test]
fn a_killed_writer_leaves_the_old_file_and_no_readable_data() {
    const NAME: &str = "sync::a_killed_writer_leaves_the_old_file_and_no_readable_data";
    if let Some(path) = rerun_place() {
        let dir = Dir::open(path, Trust::Owned).unwrap();
        dir.write("file", &[b'n'; 8192], 0o600).unwrap();
        return;
    }
    let (_held, path, dir) = place();
    dir.write("file", b"old", 0o600).unwrap();
    let ended = rerun_output(NAME, "umask 0; ulimit -c 0; ulimit -f 2", &path);
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
    assert_eq!(signal, Some(rustix::process::Signal::XFSZ.as_raw()), "{ended:?}");
    assert_eq!(fs::read(path.join("file")).unwrap(), b"old");
    let [left, file] = <[String; 2]>::try_from(names(&path)).unwrap();
    assert_eq!(file, "file");
    assert!(fs::metadata(path.join(&left)).unwrap().len() > 0, "the write had started");
    assert_eq!(mode_of(&path.join(&left)), 0o600);
    assert_eq!(dir.sweep_temporary_files().unwrap(), 1, "{left} is recognised");
}
