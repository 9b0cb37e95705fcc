//! The directories that Quadlet reads units and drop-ins from, in its order (podman-systemd.unit(5)). Blocks on files.
//!
//! Of several files with one name, Quadlet reads the first and ignores the others, whichever directory they are in.
//! What each Podman reads was found in its source (`cmd/quadlet/main.go`, since 5.8 `pkg/systemd/quadlet/unitdirs.go`)
//! and with the generators of 5.4.2, 5.8.6 and 6.1.1. The order is that of 5.4 and newer: before, the directories for
//! users had another one among themselves.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use quadlet::PodmanVersion;

use crate::scope::Scope;

/// The first Podman that reads units for users in `/etc`.
const USERS: PodmanVersion = PodmanVersion::new(4, 6, 0);
/// The first Podman that reads the directories below the others.
const BELOW: PodmanVersion = PodmanVersion::new(4, 7, 0);
/// The first Podman that follows links to directories below the others, and that reads the runtime directory.
const LINKS_AND_RUNTIME: PodmanVersion = PodmanVersion::new(5, 3, 0);
/// The first Podman that reads units for users in `/usr/share`.
const VENDOR: PodmanVersion = PodmanVersion::new(6, 0, 0);
/// Far more than anyone has; the directories after them are not searched.
const DIRECTORY_LIMIT: usize = 256;
/// Far more than the units of any host.
const ENTRY_LIMIT: usize = 10_000;

/// A directory of the search path.
struct Base {
    path: PathBuf,
    /// Whether Quadlet leaves out the directory of this name in it.
    leaves_out: fn(&str) -> bool,
}

/// Returns the directories that Quadlet reads, in its order; `ours` is one of them.
pub(super) fn search_path(scope: Scope, version: PodmanVersion, ours: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for base in bases(scope, version, ours) {
        let root = base.path.canonicalize().unwrap_or_else(|_| base.path.clone());
        add(&root, &root, base.leaves_out, version, &mut found);
    }
    found
}

fn bases(scope: Scope, version: PodmanVersion, ours: &Path) -> Vec<Base> {
    let all = |path: PathBuf| Base { path, leaves_out: |_| false };
    let runtime = scope.runtime_dir().filter(|_| version >= LINKS_AND_RUNTIME);
    let mut bases: Vec<Base> =
        runtime.map(|runtime| all(runtime.join("containers/systemd"))).into_iter().collect();
    match scope {
        Scope::System => {
            bases.push(Base { path: ours.to_owned(), leaves_out: |name| name == "users" });
            bases.push(all("/usr/share/containers/systemd".into()));
        }
        Scope::User => {
            bases.push(all(ours.to_owned()));
            let uid = rustix::process::getuid().as_raw().to_string();
            let in_etc = Path::new("/etc/containers/systemd/users");
            if version >= USERS {
                bases.push(Base { path: in_etc.to_owned(), leaves_out: is_number });
                bases.push(all(in_etc.join(&uid)));
            }
            if version >= VENDOR {
                // Here the directories of other users are read too.
                bases.push(all("/usr/share/containers/systemd/users".into()));
            }
        }
    }
    bases
}

fn is_number(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Adds `directory`, without links in its path, and what is below it by name.
fn add(
    directory: &Path,
    root: &Path,
    leaves_out: fn(&str) -> bool,
    version: PodmanVersion,
    found: &mut Vec<PathBuf>,
) {
    let below_root = directory.strip_prefix(root).ok().and_then(|rest| rest.iter().next());
    let is_left_out = below_root.and_then(|name| name.to_str()).is_some_and(leaves_out);
    let is_of_drop_ins = directory.as_os_str().as_encoded_bytes().ends_with(b".d");
    let is_known = found.len() >= DIRECTORY_LIMIT || found.iter().any(|known| known == directory);
    if is_left_out || is_of_drop_ins || is_known {
        return;
    }
    found.push(directory.to_owned());
    if version < BELOW {
        return;
    }
    // A directory that is missing or unreadable has nothing below it for Quadlet either.
    let entries = fs::read_dir(directory).into_iter().flatten().take(ENTRY_LIMIT);
    let directories = entries.filter_map(Result::ok).filter_map(|entry| below(&entry, version));
    let mut directories: Vec<(PathBuf, PathBuf)> = directories.collect();
    directories.sort_unstable();
    for (_, resolved) in directories {
        add(&resolved, root, leaves_out, version, found);
    }
}

/// Returns the path of a directory, and the same without links.
fn below(entry: &DirEntry, version: PodmanVersion) -> Option<(PathBuf, PathBuf)> {
    let kind = entry.file_type().ok()?;
    if !kind.is_dir() && !kind.is_symlink() {
        return None;
    }
    let path = entry.path();
    if kind.is_dir() {
        return Some((path.clone(), path));
    }
    let is_followed = kind.is_symlink() && version >= LINKS_AND_RUNTIME && path.is_dir();
    let resolved = is_followed.then(|| path.canonicalize().ok()).flatten()?;
    Some((path, resolved))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const NEWEST: PodmanVersion = PodmanVersion::new(6, 1, 1);

    fn below_ours(version: PodmanVersion, made: impl FnOnce(&Path)) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let ours = root.join("ours");
        fs::create_dir(&ours).unwrap();
        made(&root);
        let found = search_path(Scope::User, version, &ours);
        let shown = found.iter().filter_map(|path| path.strip_prefix(&root).ok());
        shown.map(|path| path.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn directories_below_are_read_after_their_parent_and_by_name() {
        let made = |root: &Path| {
            for below in ["ours/b", "ours/a/deep", "ours/a.d/x", "ours/.hidden"] {
                fs::create_dir_all(root.join(below)).unwrap();
            }
            fs::write(root.join("ours/file.container"), "").unwrap();
        };
        let all = ["ours", "ours/.hidden", "ours/a", "ours/a/deep", "ours/b"];
        assert_eq!(below_ours(NEWEST, made), all);
        assert_eq!(below_ours(PodmanVersion::new(4, 7, 0), made), all);
        assert_eq!(below_ours(PodmanVersion::new(4, 6, 2), made), ["ours"]);
    }

    #[test]
    fn links_to_directories_are_followed_once_from_podman_5_3_on() {
        let made = |root: &Path| {
            fs::create_dir_all(root.join("elsewhere/deep")).unwrap();
            symlink("../elsewhere", root.join("ours/link")).unwrap();
            symlink("../elsewhere", root.join("ours/second")).unwrap();
            symlink(".", root.join("ours/cycle")).unwrap();
            symlink("nowhere", root.join("ours/dangling")).unwrap();
        };
        assert_eq!(below_ours(NEWEST, made), ["ours", "elsewhere", "elsewhere/deep"]);
        assert_eq!(below_ours(PodmanVersion::new(5, 2, 5), made), ["ours"]);
    }

    #[test]
    fn no_more_directories_are_searched_than_anyone_has() {
        let found = below_ours(NEWEST, |root| {
            (0..300).for_each(|n| fs::create_dir(root.join(format!("ours/{n}"))).unwrap());
        });
        assert!(found.len() <= DIRECTORY_LIMIT && found.len() > 200, "{}", found.len());
    }

    #[test]
    fn directories_of_other_users_are_left_out_in_etc_alone() {
        let users = |version| {
            let bases = bases(Scope::User, version, Path::new("/own"));
            let after = bases.into_iter().skip_while(|base| base.path != Path::new("/own")).skip(1);
            let shown =
                |base: Base| (base.path, (base.leaves_out)("1001"), (base.leaves_out)("a1"));
            after.map(shown).collect::<Vec<_>>()
        };
        let uid = rustix::process::getuid().as_raw();
        let base = |path: &str, of_others| (PathBuf::from(path), of_others, false);
        let in_etc = [
            base("/etc/containers/systemd/users", true),
            base(&format!("/etc/containers/systemd/users/{uid}"), false),
        ];
        assert_eq!(users(PodmanVersion::new(4, 5, 1)), []);
        assert_eq!(users(PodmanVersion::new(5, 8, 6)), in_etc);
        let vendor = base("/usr/share/containers/systemd/users", false);
        assert_eq!(users(NEWEST), [in_etc.as_slice(), &[vendor]].concat());
    }

    #[test]
    fn root_leaves_out_the_units_for_users_in_its_own_directory() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("users/app")).unwrap();
        fs::create_dir_all(root.join("app/users")).unwrap();
        let found = search_path(Scope::System, NEWEST, &root);
        let ours: Vec<_> = found.iter().filter(|path| path.starts_with(&root)).collect();
        assert_eq!(ours, [&root, &root.join("app"), &root.join("app/users")]);
    }
}
