//! [`Basis`]: what podman's answers depend on besides its store, at one moment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use companion_core::model::revision::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::file_identity::FileIdentity;

/// The variables that podman finds its store by. The others that it inherits do not name a place:
/// were they counted, a daemon and a shell would forget each other's answers.
const COUNTED: [&str; 7] =
    ["HOME", "USER", "LOGNAME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"];

/// Where settings are, besides the user's own (containers-storage.conf(5), containers.conf(5)).
const SHARED: [&str; 2] = ["/usr/share/containers", "/etc/containers"];

/// What the names of files with settings, and of directories of such files, begin with.
const SETTINGS: [&str; 2] = ["storage.", "containers."];

/// How deep a file may lie below a directory of settings: `containers.rootless.conf.d/UID/x.conf`.
const DEPTH: usize = 2;

/// The most files that are counted in.
const FILE_LIMIT: usize = 256;

/// What podman's answers depend on besides its store, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Basis {
    program: PathBuf,
    program_file: FileIdentity,
    environment: Fingerprint,
    /// Each file with settings that is there; what is not there counts by its absence.
    settings: BTreeMap<PathBuf, FileIdentity>,
}

impl Basis {
    /// The basis of what `program` says in `environment`; `None` when it cannot be told: the
    /// program is gone, the user's settings cannot be found, or there is no end of them.
    pub(crate) fn of(program: &Path, environment: &[(OsString, OsString)]) -> Option<Self> {
        let value = |name: &str| {
            let mut pairs = environment.iter();
            pairs.find(|(own, _)| own == name).map(|(_, value)| value.as_os_str())
        };
        let mut settings = BTreeMap::new();
        for directory in SHARED.map(PathBuf::from).into_iter().chain([own_settings(value)?]) {
            gather(&directory, DEPTH, &is_settings, &mut settings)?;
        }
        Some(Self {
            program: program.to_owned(),
            program_file: FileIdentity::of(program)?,
            environment: fingerprint(value),
            settings,
        })
    }

    /// Whether all of it had stood unchanged for `margin` at `moment`.
    pub(crate) fn was_settled(&self, moment: SystemTime, margin: Duration) -> bool {
        let mut files = self.settings.values().chain([&self.program_file]);
        files.all(|file| file.was_settled(moment, margin))
    }
}

/// `$XDG_CONFIG_HOME/containers`, else `~/.config/containers`. Without `HOME` podman asks the user
/// database, and nothing is remembered.
fn own_settings<'a>(value: impl Fn(&str) -> Option<&'a OsStr>) -> Option<PathBuf> {
    let given = |name| value(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = given("XDG_CONFIG_HOME").or_else(|| Some(given("HOME")?.join(".config")))?;
    Some(config.join("containers"))
}

/// A digest, because only sameness matters, framed so that no two environments run together.
fn fingerprint<'a>(value: impl Fn(&str) -> Option<&'a OsStr>) -> Fingerprint {
    let mut bytes = Vec::new();
    for name in COUNTED {
        let value = value(name).map(OsStr::as_encoded_bytes);
        let length = value.map(|value| value.len() as u64);
        bytes.extend(length.map_or(u64::MAX, |length| length).to_be_bytes());
        bytes.extend(value.unwrap_or_default());
    }
    Fingerprint::of(&bytes)
}

fn is_settings(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    SETTINGS.iter().any(|start| name.starts_with(start.as_bytes()))
}

/// Adds the files of `directory` whose names are `wanted`, and all below such directories.
fn gather(
    directory: &Path,
    depth: usize,
    wanted: &dyn Fn(&OsStr) -> bool,
    found: &mut BTreeMap<PathBuf, FileIdentity>,
) -> Option<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(()),
        Err(_) => return None,
    };
    for entry in entries {
        let entry = entry.ok()?;
        if !wanted(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        if depth > 0 && path.is_dir() {
            gather(&path, depth - 1, &|_| true, found)?;
            continue;
        }
        // A link to nowhere is as good as absent.
        if let Some(file) = FileIdentity::of(&path) {
            found.insert(path, file);
        }
        if found.len() > FILE_LIMIT {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(home: &Path, more: &[(&str, &str)]) -> Option<Basis> {
        let home = [("HOME".into(), home.into())];
        let more = more.iter().map(|(name, value)| (name.into(), value.into()));
        let environment: Vec<_> = home.into_iter().chain(more).collect();
        Basis::of(Path::new("/bin/sh"), &environment)
    }

    #[test]
    fn settings_that_come_change_or_go_are_another_basis_wherever_they_lie() {
        let home = tempfile::tempdir().unwrap();
        let settings = home.path().join(".config/containers");
        for file in [
            "storage.conf",
            "containers.conf",
            "storage.conf.d/10-root.conf",
            "containers.rootless.conf.d/1000/a.conf",
        ] {
            let file = settings.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let without = basis(home.path(), &[]).unwrap();
            fs::write(&file, "one").unwrap();
            let with = basis(home.path(), &[]).unwrap();
            assert_ne!(with, without, "{}", file.display());
            fs::write(&file, "three").unwrap();
            assert_ne!(basis(home.path(), &[]).unwrap(), with, "{}", file.display());
            fs::remove_file(&file).unwrap();
            assert_eq!(basis(home.path(), &[]).unwrap(), without, "{}", file.display());
        }
        let before = basis(home.path(), &[]);
        fs::write(settings.join("policy.json"), "{}").unwrap();
        assert_eq!(basis(home.path(), &[]), before, "what pulls may do is not where images are");
    }

    #[test]
    fn a_variable_that_names_a_place_counts_and_another_does_not() {
        let home = tempfile::tempdir().unwrap();
        let plain = basis(home.path(), &[]);
        assert_ne!(basis(home.path(), &[("XDG_DATA_HOME", "/data")]), plain);
        assert_ne!(basis(home.path(), &[("TMPDIR", "")]), plain, "empty is not absent");
        assert_eq!(basis(home.path(), &[("PATH", "/opt/bin")]), plain);
    }

    #[test]
    fn a_user_whose_settings_cannot_be_found_has_no_basis() {
        assert_eq!(Basis::of(Path::new("/bin/sh"), &[]), None);
        assert_eq!(basis(Path::new(""), &[]), None);
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".config")).unwrap();
        fs::write(home.path().join(".config/containers"), "no directory").unwrap();
        assert_eq!(basis(home.path(), &[]), None);
    }

    #[test]
    fn more_settings_than_can_be_looked_at_are_no_basis() {
        let home = tempfile::tempdir().unwrap();
        let settings = home.path().join(".config/containers/storage.conf.d");
        fs::create_dir_all(&settings).unwrap();
        for number in 0..=FILE_LIMIT {
            fs::write(settings.join(number.to_string()), "").unwrap();
        }
        assert_eq!(basis(home.path(), &[]), None);
    }
}
