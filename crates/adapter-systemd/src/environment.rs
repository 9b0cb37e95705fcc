//! The base directories of a user in two environments: that of this process and that of the service manager.
//!
//! systemd, Quadlet's generator and the Podman of a unit have the manager's environment. A command whose shell names
//! other directories would write units that no generator reads, and build images that no unit finds.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use companion_core::ports::PortResult;
use host_files::blocking;

use crate::bus::Bus;
use crate::dbus::MANAGER;
use crate::error::BusError;
use crate::scope::Scope;
use crate::service_manager::properties;
use crate::states::{Properties, variable_in};

/// As for every other call of the manager, which answers late while it reloads.
const LIMIT: Duration = Duration::from_secs(25);

/// Returns the value of a variable.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// A base directory that this process and the service manager have in different places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is `{}` here but `{}` in systemd", here.display(), there.display())]
pub struct DifferingDirectory {
    /// The environment variable that names it.
    pub variable: &'static str,
    /// Its value in this process.
    pub here: PathBuf,
    /// Its value in the service manager.
    pub there: PathBuf,
}

impl DifferingDirectory {
    /// Returns whether companions cannot run until it is the same: units or images are in it, and not just the state.
    pub fn is_fatal(&self) -> bool {
        self.variable != STATE
    }
}

const STATE: &str = "XDG_STATE_HOME";

/// The variables with their defaults below `HOME` (XDG base directory specification): the catalog and units, Podman's
/// storage, the state.
const DIRECTORIES: [(&str, &str); 3] =
    [("XDG_CONFIG_HOME", ".config"), ("XDG_DATA_HOME", ".local/share"), (STATE, ".local/state")];

/// Asks the service manager of `scope` for its environment and returns the base directories that differ from this
/// process's; none in the system's scope.
///
/// # Errors
/// If the service manager does not answer.
pub async fn differing_directories(scope: Scope) -> PortResult<Vec<DifferingDirectory>> {
    let read = async {
        let manager = manager_properties(scope).await?;
        let entries = manager.texts("Environment")?;
        let compare = move || differing(scope, &|name| env::var_os(name), &of_entries(&entries));
        Ok(blocking::within(LIMIT, compare).await?)
    };
    read.await.map_err(|error: BusError| error.during("read systemd's environment"))
}

/// Reads the properties of the service manager itself.
pub(crate) async fn manager_properties(scope: Scope) -> Result<Properties, BusError> {
    let session = Bus::at(scope.bus_addresses(), LIMIT).session().await?;
    let path = zbus::ObjectPath::from_static_str("/org/freedesktop/systemd1")?;
    properties(&session, &path.into(), MANAGER, LIMIT).await
}

/// Returns the environment that consists of these `NAME=value` entries.
pub(crate) fn of_entries(entries: &[String]) -> impl Fn(&str) -> Option<OsString> + '_ {
    |name| {
        let value = variable_in(entries.iter().map(String::as_bytes), name)?;
        Some(OsStr::from_bytes(value).to_owned())
    }
}

/// Returns the base directories that differ. Two names of one directory are the same.
pub(crate) fn differing(
    scope: Scope,
    here: Environment<'_>,
    there: Environment<'_>,
) -> Vec<DifferingDirectory> {
    let directories = match scope {
        Scope::User => DIRECTORIES.as_slice(),
        Scope::System => &[],
    };
    let differing = directories.iter().filter_map(|&(variable, default)| {
        let (here, there) =
            (directory(variable, default, here)?, directory(variable, default, there)?);
        let same = here == there || real(&here) == real(&there);
        (!same).then_some(DifferingDirectory { variable, here, there })
    });
    differing.collect()
}

/// Returns the path without links; of a missing directory, that of the nearest existing one above it with the rest.
fn real(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    match existing {
        Some((above, real)) => real.join(path.strip_prefix(above).unwrap_or(Path::new(""))),
        None => path.to_owned(),
    }
}

fn directory(variable: &str, default: &str, environment: Environment<'_>) -> Option<PathBuf> {
    let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| Some(absolute("HOME")?.join(default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(here: &[&str], there: &[&str]) -> Vec<&'static str> {
        let entries =
            |list: &[&str]| list.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let (here, there) = (entries(here), entries(there));
        let found = differing(Scope::User, &of_entries(&here), &of_entries(&there));
        found.into_iter().map(|directory| directory.variable).collect()
    }

    #[test]
    fn a_variable_set_on_one_side_differs_unless_it_is_the_default() {
        let home = "HOME=/home/archy";
        assert_eq!(found(&[home], &[home]), [""; 0]);
        assert_eq!(found(&[home, "XDG_CONFIG_HOME=/home/archy/.config"], &[home]), [""; 0]);
        assert_eq!(found(&[home, "XDG_CONFIG_HOME=relative"], &[home]), [""; 0]);
        assert_eq!(found(&[home, "XDG_CONFIG_HOME=/c"], &[home]), ["XDG_CONFIG_HOME"]);
        assert_eq!(found(&[home], &[home, "XDG_DATA_HOME=/d"]), ["XDG_DATA_HOME"]);
        assert_eq!(found(&[home], &["HOME=/root"]).len(), 3);
        assert_eq!(found(&[home], &[]), [""; 0], "a manager without a home says nothing");
    }

    #[test]
    fn two_names_of_one_directory_are_the_same() {
        let place = tempfile::tempdir().unwrap();
        let (real, link) = (place.path().join("real"), place.path().join("link"));
        fs::create_dir_all(real.join(".config")).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let [here, there] = [&real, &link].map(|home| format!("HOME={}", home.display()));
        // Of the three, only `.config` exists.
        assert_eq!(found(&[&here], &[&there]), [""; 0]);
    }

    #[test]
    fn only_the_state_directory_may_differ() {
        let of = |variable| DifferingDirectory { variable, here: "/a".into(), there: "/b".into() };
        assert!(!of("XDG_STATE_HOME").is_fatal());
        assert!(of("XDG_CONFIG_HOME").is_fatal() && of("XDG_DATA_HOME").is_fatal());
        assert_eq!(
            of("XDG_DATA_HOME").to_string(),
            "XDG_DATA_HOME is `/a` here but `/b` in systemd"
        );
    }
}
