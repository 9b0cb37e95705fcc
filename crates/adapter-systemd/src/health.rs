//! What a host lacks for this scope, for a person to read. Changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use companion_core::ports::PortResult;

use crate::bus::Bus;
use crate::dbus::MANAGER;
use crate::error::BusError;
use crate::generator::{Generator, GeneratorError};
use crate::scope::{Scope, ScopeError};
use crate::service_manager::properties;
use crate::states::Properties;

const LIMIT: Duration = Duration::from_secs(10);
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// What a scope's host has and lacks.
#[derive(Debug)]
pub struct ScopeHealth {
    /// systemd behind the bus, or why it cannot be asked.
    pub systemd: PortResult<SystemdFacts>,
    /// The directory that units are written to.
    pub unit_dir: Result<PathBuf, ScopeError>,
    /// The generator, or why there is none.
    pub generator: Result<PathBuf, GeneratorError>,
    /// Whether the user's manager runs without a login (`loginctl enable-linger`); `None` in the system's scope, or when the user's
    /// name is not known. Without it every companion ends at logout and none starts at boot.
    pub linger: Option<bool>,
    /// Whether the host has the unified cgroup hierarchy, which Quadlet requires.
    pub unified_cgroups: bool,
}

/// What systemd says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemdFacts {
    /// Its version, such as `257.8-1~deb13u2`.
    pub version: String,
    /// The manager's own `XDG_CONFIG_HOME`, by which the generator finds a user's units. When it leads elsewhere than this process's, no
    /// unit will ever be found.
    pub config_home: Option<PathBuf>,
    /// Whether memory limits have an effect: whether the controller reaches the manager's units. `None` when that cannot be read.
    pub memory_limits: Option<bool>,
}

/// Asks and looks; takes at most some 20 s when nothing answers.
pub async fn inspect(scope: Scope) -> ScopeHealth {
    ScopeHealth {
        systemd: facts(scope).await.map_err(|error| error.during("ask systemd about itself")),
        unit_dir: scope.unit_dir(),
        generator: Generator::find(scope).map(|generator| generator.program().to_owned()),
        linger: match scope {
            Scope::User => lingers(Path::new("/var/lib/systemd/linger"), Path::new("/etc/passwd")),
            Scope::System => None,
        },
        unified_cgroups: Path::new(CGROUP_ROOT).join("cgroup.controllers").exists(),
    }
}

async fn facts(scope: Scope) -> Result<SystemdFacts, BusError> {
    let session = Bus::at(scope.bus_addresses(), LIMIT).session().await?;
    let path = zbus::ObjectPath::from_static_str("/org/freedesktop/systemd1")?;
    let manager = properties(&session, &path.into(), MANAGER, LIMIT).await?;
    Ok(described(&manager, Path::new(CGROUP_ROOT))?)
}

/// Reads the manager's properties.
fn described(
    manager: &Properties,
    cgroups: &Path,
) -> Result<SystemdFacts, crate::states::PropertyError> {
    let config_home = manager
        .texts("Environment")?
        .iter()
        .filter_map(|entry| entry.strip_prefix("XDG_CONFIG_HOME="))
        .next_back()
        .map(PathBuf::from);
    let control_group = manager.text("ControlGroup")?.unwrap_or_default();
    let group = cgroups.join(control_group.trim_start_matches('/'));
    // In the root group the file names what the kernel has, which is what the units get there.
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).ok();
    Ok(SystemdFacts {
        version: manager.text("Version")?.unwrap_or_default().to_owned(),
        config_home,
        memory_limits: controllers
            .map(|names| names.split_whitespace().any(|name| name == "memory")),
    })
}

/// Whether a file of this user's name is in the directory of those who linger.
fn lingers(directory: &Path, passwd: &Path) -> Option<bool> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let accounts = fs::read_to_string(passwd).ok()?;
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    });
    // An account of a directory service stands in no file.
    let name = name.map(str::to_owned).or_else(|| std::env::var("USER").ok())?;
    Some(directory.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lingering_is_read_from_the_users_own_file() {
        let place = tempfile::tempdir().unwrap();
        let uid = rustix::process::getuid().as_raw();
        let passwd = place.path().join("passwd");
        fs::write(
            &passwd,
            format!("other:x:{}:1::/:/bin/sh\narchy:x:{uid}:1::/:/bin/sh\n", uid + 1),
        )
        .unwrap();
        let directory = place.path().join("linger");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("other"), "").unwrap();
        assert_eq!(lingers(&directory, &passwd), Some(false));
        fs::write(directory.join("archy"), "").unwrap();
        assert_eq!(lingers(&directory, &passwd), Some(true));
    }
}
