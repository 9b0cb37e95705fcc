//! [`Installation`]: the program and its settings, which podman's answers depend on in addition to its store.
//!
//! A changed installation invalidates cached answers. Files are compared by identity, so detecting no change starts no
//! process.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use companion_core::ports::{PortError, PortErrorKind};
use image_source::text::{path_shown, shown};
use image_source::{EngineError, EngineResult, FileIdentity};

use super::environment::Environment;
use crate::error;

/// Podman's search path if the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The shared settings directories (containers-storage.conf(5), containers.conf(5), containers-registries.conf(5)).
const SHARED: [&str; 2] = ["/usr/share/containers", "/etc/containers"];

/// Prefixes of the names of settings files and their directories.
const SETTINGS: [&str; 3] = ["storage.", "containers.", "registries."];

/// Maximum depth of a file below a settings directory: `containers.rootless.conf.d/UID/x.conf`.
const DEPTH: usize = 2;

/// Maximum number of files that are compared.
const FILE_LIMIT: usize = 256;

/// The program at a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// Its path.
    pub(crate) path: PathBuf,
    file: FileIdentity,
}

/// The program and its settings at a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installation {
    program: Program,
    /// The existing settings files; a missing file counts by its absence.
    settings: BTreeMap<PathBuf, FileIdentity>,
}

/// The search paths of the program and its settings.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    /// The program, if given by its path.
    pub(super) program: Option<PathBuf>,
    path: OsString,
    /// The user's own settings directory. Without `HOME` podman reads it from the user database; settings there are not
    /// detected.
    own_settings: Option<PathBuf>,
}

impl Search {
    /// Uses the same search paths as a podman in `environment`.
    pub(crate) fn of(environment: &Environment) -> Self {
        let given = |name| environment.value(name).filter(|value| !value.is_empty());
        let path = environment.value("PATH").map_or_else(|| DEFAULT_PATH.into(), OsStr::to_owned);
        let config = given("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| Some(Path::new(given("HOME")?).join(".config")));
        Self { program: None, path, own_settings: config.map(|dir| dir.join("containers")) }
    }

    /// Describes a failed search.
    pub(crate) fn shown(&self) -> String {
        let program = self.program.as_ref().map(|path| path.as_os_str());
        shown(&program.unwrap_or(&self.path).to_string_lossy())
    }

    /// Returns the current program. Blocks on the file system.
    ///
    /// Relative entries of `PATH` are skipped, because they depend on the working directory.
    pub(crate) fn program(&self) -> EngineResult<Program> {
        if let Some(path) = &self.program {
            let message = || format!("failed to start `{}`", path_shown(path));
            let unusable = |error| error::of_the_host(PortErrorKind::Unavailable, message(), error);
            return Program::at(path.clone()).map_err(unusable);
        }
        env::split_paths(&self.path)
            .filter(|directory| directory.is_absolute())
            .find_map(|directory| Program::at(directory.join("podman")).ok())
            .ok_or_else(|| {
                let search = self.shown();
                let message = format!("no `podman` in `{search}`; install the package `podman`");
                EngineError::Host(PortError::new(PortErrorKind::Unavailable, message))
            })
    }

    /// Returns the current program and settings; `None` if the settings are unreadable or too many to compare. Blocks
    /// on the file system.
    pub(crate) fn installation(&self) -> EngineResult<Option<Installation>> {
        let program = self.program()?;
        let mut settings = BTreeMap::new();
        let shared = SHARED.map(PathBuf::from).into_iter();
        for directory in shared.chain(self.own_settings.clone()) {
            if gather(&directory, DEPTH, &is_settings, &mut settings).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(Installation { program, settings }))
    }
}

impl Program {
    fn at(path: PathBuf) -> io::Result<Self> {
        let data = fs::metadata(&path)?;
        if !data.is_file() || data.permissions().mode() & 0o111 == 0 {
            return Err(ErrorKind::PermissionDenied.into());
        }
        Ok(Self { path, file: FileIdentity::from(&data) })
    }
}

fn is_settings(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    SETTINGS.iter().any(|start| name.starts_with(start.as_bytes()))
}

/// Adds the files of `directory` whose names are `wanted`, and all files below such directories.
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
        // A dangling link counts as missing.
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

    fn installation(home: &Path, more: &[(&str, &str)]) -> Option<Installation> {
        let home = [("HOME".into(), home.into())];
        let more = more.iter().map(|(name, value)| (name.into(), value.into()));
        let environment = Environment::of(home.into_iter().chain(more));
        let program = Some("/bin/sh".into());
        Search { program, ..Search::of(&environment) }.installation().unwrap()
    }

    #[test]
    fn settings_that_come_change_or_go_are_another_installation() {
        let home = tempfile::tempdir().unwrap();
        let settings = home.path().join(".config/containers");
        for file in [
            "storage.conf",
            "containers.conf",
            "registries.conf",
            "storage.conf.d/10-root.conf",
            "containers.rootless.conf.d/1000/a.conf",
        ] {
            let file = settings.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let without = installation(home.path(), &[]).unwrap();
            fs::write(&file, "one").unwrap();
            let with = installation(home.path(), &[]).unwrap();
            assert_ne!(with, without, "{}", file.display());
            fs::write(&file, "three").unwrap();
            assert_ne!(installation(home.path(), &[]).unwrap(), with, "{}", file.display());
            fs::remove_file(&file).unwrap();
            assert_eq!(installation(home.path(), &[]).unwrap(), without, "{}", file.display());
        }
        let before = installation(home.path(), &[]);
        fs::write(settings.join("policy.json"), "{}").unwrap();
        assert_eq!(installation(home.path(), &[]), before, "a pull policy does not move the store");
    }

    #[test]
    fn the_users_settings_are_where_the_environment_says() {
        let (home, config) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let plain = installation(home.path(), &[]).unwrap();
        fs::create_dir(config.path().join("containers")).unwrap();
        fs::write(config.path().join("containers/storage.conf"), "").unwrap();
        let config = config.path().to_str().unwrap();
        assert_ne!(installation(home.path(), &[("XDG_CONFIG_HOME", config)]).unwrap(), plain);
        assert_eq!(installation(home.path(), &[("XDG_CONFIG_HOME", "")]).unwrap(), plain);
        let program = Some("/bin/sh".into());
        let nowhere = Search { program, ..Search::of(&Environment::of([])) };
        assert!(nowhere.installation().unwrap().is_some(), "shared settings are compared");
    }

    #[test]
    fn settings_that_are_unreadable_or_too_many_cannot_be_compared() {
        let home = tempfile::tempdir().unwrap();
        let containers = home.path().join(".config/containers");
        fs::create_dir(home.path().join(".config")).unwrap();
        fs::write(&containers, "no directory").unwrap();
        assert_eq!(installation(home.path(), &[]), None);
        fs::remove_file(&containers).unwrap();
        fs::create_dir_all(containers.join("storage.conf.d")).unwrap();
        for number in 0..=FILE_LIMIT {
            fs::write(containers.join("storage.conf.d").join(number.to_string()), "").unwrap();
        }
        assert_eq!(installation(home.path(), &[]), None);
    }

    #[test]
    fn a_program_that_comes_first_in_the_path_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
        let path = format!("relative:{}:{}", first.display(), second.display());
        let search = Search::of(&Environment::of([("PATH".into(), path.into())]));
        for directory in [second, first] {
            fs::create_dir_all(&directory).unwrap();
            let program = directory.join("podman");
            fs::write(&program, "").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(search.program().unwrap().path, program);
        }
    }
}
