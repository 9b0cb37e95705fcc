use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn find(directories: &[&Path]) -> PortResult<Option<Context>> {
    find_with(directories, &BTreeMap::new(), &mut Digests::default())
}

fn find_with(
    directories: &[&Path],
    arguments: &BTreeMap<String, String>,
    digests: &mut Digests,
) -> PortResult<Option<Context>> {
    let path = |path: &&Path| AbsolutePath::new(path.to_str().unwrap()).unwrap();
    let candidates: Vec<_> = directories.iter().map(path).collect();
    let tree = super::find(&candidates, digests)?;
    Ok(tree.map(|tree| tree.with_arguments(arguments)))
}

fn context() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    fs::create_dir(directory.path().join("html")).unwrap();
    fs::write(directory.path().join("html/index.html"), "hello").unwrap();
    directory
}

fn digest_of(directory: &Path) -> Fingerprint {
    find(&[directory]).unwrap().unwrap().digest
}

#[test]
fn the_first_directory_with_a_build_file_wins() {
    let empty = TempDir::new().unwrap();
    let (first, second) = (context(), context());
    let removed = empty.path().join("removed");
    let found = find(&[&removed, empty.path(), first.path(), second.path()]).unwrap();
    let found = found.unwrap();
    assert_eq!((found.directory.as_path(), found.file), (first.path(), "Dockerfile"));
    assert_eq!(find(&[&removed]).unwrap(), None);
    // As in Podman.
    fs::write(first.path().join("Containerfile"), "FROM scratch\n").unwrap();
    assert_eq!(find(&[first.path()]).unwrap().unwrap().file, "Containerfile");
}

#[test]
fn the_same_contents_elsewhere_and_at_another_time_have_the_same_digest() {
    assert_eq!(digest_of(context().path()), digest_of(context().path()));
}

#[test]
fn every_change_that_a_build_could_see_changes_the_digest() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 7] = [
        ("contents", |d| fs::write(d.join("html/index.html"), "hellO").unwrap()),
        ("a new file", |d| fs::write(d.join("new"), "").unwrap()),
        ("a new directory", |d| fs::create_dir(d.join("new")).unwrap()),
        ("a name", |d| fs::rename(d.join("html/index.html"), d.join("html/index.htm")).unwrap()),
        ("a mode", |d| {
            let path = d.join("html/index.html");
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            fs::set_permissions(path, fs::Permissions::from_mode(mode ^ 0o100)).unwrap();
        }),
        ("a link", |d| symlink("html/index.html", d.join("link")).unwrap()),
        ("a file moved up", |d| {
            fs::rename(d.join("html/index.html"), d.join("index.html")).unwrap()
        }),
    ];
    for (what, change) in changes {
        let directory = context();
        let before = digest_of(directory.path());
        change(directory.path());
        assert_ne!(digest_of(directory.path()), before, "{what}");
    }
}

#[test]
fn a_build_argument_changes_the_digest() {
    let directory = context();
    let digest = |arguments: &[(&str, &str)]| {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let arguments = arguments.iter().map(owned).collect();
        let mut digests = Digests::default();
        find_with(&[directory.path()], &arguments, &mut digests).unwrap().unwrap().digest
    };
    let (plain, one, other) = (digest(&[]), digest(&[("A", "BC")]), digest(&[("AB", "C")]));
    assert!(plain != one && one != other && plain != other);
}

/// Returns the bytes that this thread has read so far (proc_pid_io(5)).
fn bytes_read() -> usize {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn an_unchanged_file_is_not_read_again_and_a_changed_one_is() {
    const SIZE: usize = 1024 * 1024;
    let directory = context();
    let large = directory.path().join("large");
    let mut digests = Digests { settle: Duration::ZERO, ..Digests::default() };
    let mut look = || {
        let before = bytes_read();
        let found = find_with(&[directory.path()], &BTreeMap::new(), &mut digests);
        (found.unwrap().unwrap().digest, bytes_read() - before >= SIZE)
    };
    fs::write(&large, vec![b'x'; SIZE]).unwrap();
    let (first, was_read) = look();
    assert!(was_read);
    assert_eq!(look(), (first, false));
    let (changed, was_read) = loop {
        fs::write(&large, vec![b'y'; SIZE]).unwrap();
        // Within one tick of the file system's clock, the two identities are equal.
        let seen = look();
        if seen.1 {
            break seen;
        }
    };
    assert!(was_read && changed != first);
    fs::remove_file(&large).unwrap();
    look();
    assert_eq!(digests.known.len(), 2, "removed files are dropped");
}

#[test]
fn a_file_that_changed_just_now_is_read_again() {
    let directory = context();
    let mut digests = Digests::default();
    let mut digest = || {
        let found = find_with(&[directory.path()], &BTreeMap::new(), &mut digests);
        found.unwrap().unwrap().digest
    };
    // Some of these fall into one tick of the clock, and all have the same size.
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..100 {
        fs::write(directory.path().join("html/index.html"), format!("{number:05}")).unwrap();
        assert!(seen.insert(digest()), "change {number} is detected");
    }
}

#[test]
fn a_link_that_could_leave_the_context_is_refused() {
    for (at, target) in [
        ("link", "/etc/passwd"),
        ("link", "../outside"),
        ("html/link", "../../outside"),
        ("link", "html/../../outside"),
        ("link", "html/.."),
    ] {
        let directory = context();
        symlink(target, directory.path().join(at)).unwrap();
        let error = find(&[directory.path()]).unwrap_err();
        assert!(error.chain().contains("must be relative"), "{target}: {}", error.chain());
        assert_eq!(error.kind(), PortErrorKind::Invalid);
    }
    let directory = context();
    symlink("../Dockerfile", directory.path().join("html/link")).unwrap();
    assert!(find(&[directory.path()]).is_ok());
}

#[test]
fn a_context_that_anyone_may_change_is_refused() {
    for at in ["", "html", "html/index.html", "Dockerfile"] {
        let directory = context();
        let path = directory.path().join(at);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o002)).unwrap();
        let error = find(&[directory.path()]).unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Denied);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(find(&[directory.path()]).is_ok());
    }
}

#[test]
fn context_below_a_directory_that_anyone_may_change_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("web");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("Dockerfile"), "FROM scratch\n").unwrap();
    assert!(find(&[&directory]).is_ok());
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = find(&[&directory]).unwrap_err();
    assert!(error.to_string().contains("failed to use build context"), "{error}");
    assert_eq!(error.kind(), PortErrorKind::Denied);
}

#[test]
fn a_name_in_a_context_cannot_forge_a_line() {
    type Damage = fn(&Path);
    let damages: [Damage; 3] = [
        |path| symlink("/etc/shadow", path).unwrap(),
        |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        |path| {
            fs::write(path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        },
    ];
    for damage in damages {
        let directory = context();
        damage(&directory.path().join("x\n<3>\u{1b}[2Kall is well\u{202e}"));
        let text = find(&[directory.path()]).unwrap_err().to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn a_socket_is_refused_and_not_read() {
    let directory = context();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    let error = find(&[directory.path()]).unwrap_err();
    assert!(error.to_string().contains("is not a file"), "{error}");
}

#[test]
fn a_context_beyond_its_limits_is_refused() {
    let directory = context();
    // Known files count too.
    let mut digests = Digests { settle: Duration::ZERO, ..Digests::default() };
    // Two files and a directory, of 13 and 5 bytes.
    for (entries, bytes, exceeded) in
        [(3, 18, None), (3, 18, None), (2, 18, Some("10000 entries")), (3, 17, Some("256 MiB"))]
    {
        let mut budget = Budget { root: directory.path(), entries, bytes };
        let error = digest(&mut budget, &mut digests).err();
        let shown = error.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(shown.contains(exceeded.unwrap_or_default()), "{shown}");
        let kind = error.map(|error| error.kind());
        assert_eq!(kind, exceeded.map(|_| PortErrorKind::Invalid), "{entries} {bytes}");
    }
}
