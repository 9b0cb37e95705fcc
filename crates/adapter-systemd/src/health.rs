//! Health checks of a scope's host, for people. Changes nothing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use companion_core::ports::PortResult;
use host_files::blocking;

use crate::environment::{self, DifferingDirectory, Environment};
use crate::error::BusError;
use crate::generator::Generator;
use crate::scope::{Scope, ScopeError};
use crate::states::Properties;

const LIMIT: Duration = Duration::from_secs(10);
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// The health of a scope's host.
#[derive(Debug)]
pub struct ScopeHealth {
    /// systemd on the bus, or why it does not reply.
    pub systemd: PortResult<SystemdFacts>,
    /// The unit directory.
    pub unit_dir: Result<PathBuf, ScopeError>,
    /// The generator's path, or why it is unavailable.
    pub generator: PortResult<PathBuf>,
    /// Whether the user's manager runs without a login (`loginctl enable-linger`); `None` in the system's scope or if
    /// the user's name is unknown. Without lingering, every companion stops at logout and none starts at boot.
    pub linger: Option<bool>,
    /// Whether the host has the unified cgroup hierarchy, which Quadlet requires.
    pub unified_cgroups: bool,
}

/// systemd's own facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemdFacts {
    /// The version, such as `257.8-1~deb13u2`.
    pub version: String,
    /// Whether memory limits take effect: whether the manager's units have the memory controller; `None` if unknown.
    pub memory_limits: Option<bool>,
    /// The base directories that differ between this process and the manager.
    pub differing: Vec<DifferingDirectory>,
}

/// Inspects the host; takes at most about 20 s if nothing replies.
pub async fn inspect(scope: Scope) -> ScopeHealth {
    let found = blocking::within(LIMIT, move || {
        let linger = match scope {
            Scope::User => lingers(Path::new("/var/lib/systemd/linger"), Path::new("/etc/passwd")),
            Scope::System => None,
        };
        let generator = Generator::find(scope).map(|generator| generator.program().to_owned());
        (generator, linger, Path::new(CGROUP_ROOT).join("cgroup.controllers").exists())
    });
    let (found, systemd) = tokio::join!(found, facts(scope));
    let (generator, linger, unified_cgroups) =
        found.unwrap_or_else(|stuck| (Err(stuck.during("find the generator")), None, false));
    ScopeHealth {
        systemd: systemd.map_err(|error| error.during("read systemd's properties")),
        unit_dir: scope.unit_dir(),
        generator,
        linger,
        unified_cgroups,
    }
}

async fn facts(scope: Scope) -> Result<SystemdFacts, BusError> {
    let manager = environment::manager_properties(scope).await?;
    let described = blocking::within(LIMIT, move || {
        described(scope, &manager, &|name| env::var_os(name), Path::new(CGROUP_ROOT))
    });
    described.await?
}

/// Evaluates the manager's properties.
fn described(
    scope: Scope,
    manager: &Properties,
    here: Environment<'_>,
    cgroups: &Path,
) -> Result<SystemdFacts, BusError> {
    let environment = manager.texts("Environment")?;
    let there = environment::of_entries(&environment);
    let control_group = manager.text("ControlGroup")?.unwrap_or_default();
    let group = cgroups.join(control_group.trim_start_matches('/'));
    // In the root group, the file lists the kernel's controllers, which units get.
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).ok();
    Ok(SystemdFacts {
        version: manager.text("Version")?.unwrap_or_default().to_owned(),
        differing: environment::differing(scope, here, &there),
        memory_limits: controllers
            .map(|names| names.split_whitespace().any(|name| name == "memory")),
    })
}

/// Returns whether the linger directory has a file with this user's name.
fn lingers(directory: &Path, passwd: &Path) -> Option<bool> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let accounts = fs::read_to_string(passwd).ok()?;
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    });
    // Accounts of a directory service are not in the file.
    let name = name.map(str::to_owned).or_else(|| std::env::var("USER").ok())?;
    Some(directory.join(name).exists())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_managers_own_environment_and_control_group_decide() {
        let place = tempfile::tempdir().unwrap();
        let group = place.path().join("user.slice/init.scope");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("cgroup.controllers"), "memory pids\n").unwrap();
        let text = |text: &str| zbus::Variant::from(text).try_into().unwrap();
        let environment = vec!["HOME=/home/archy", "XDG_CONFIG_HOME=/c"];
        let mut properties: HashMap<String, zbus::OwnedVariant> = HashMap::from([
            ("Version".to_owned(), text("257.1")),
            ("ControlGroup".to_owned(), text("/user.slice/init.scope")),
            ("Environment".to_owned(), zbus::Variant::from(environment).try_into().unwrap()),
        ]);
        let manager = properties.iter().map(|(name, value)| (name.clone(), value.clone()));
        let manager = Properties::from(manager.collect::<HashMap<_, _>>());
        let here = |name: &str| (name == "HOME").then(|| "/home/archy".into());
        let facts = described(Scope::User, &manager, &here, place.path()).unwrap();
        let expected = SystemdFacts {
            version: "257.1".to_owned(),
            memory_limits: Some(true),
            differing: vec![DifferingDirectory {
                variable: "XDG_CONFIG_HOME",
                here: PathBuf::from("/home/archy/.config"),
                there: PathBuf::from("/c"),
            }],
        };
        assert_eq!(facts, expected);

        fs::write(group.join("cgroup.controllers"), "cpu memory_recursiveprot\n").unwrap();
        properties.remove("Version");
        let manager_without = Properties::from(properties);
        assert!(described(Scope::User, &manager_without, &here, place.path()).is_err());
        let facts = described(Scope::System, &manager, &here, place.path()).unwrap();
        assert_eq!(facts.memory_limits, Some(false));
        assert!(facts.differing.is_empty(), "the system has no home");
    }

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
