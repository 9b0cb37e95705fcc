//! The service manager, a user's or the system's, and its paths. Reads the environment; opens nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The service manager that runs the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The manager of the user that this process runs as: rootless Podman.
    User,
    /// The system manager: Podman as root.
    System,
}

/// The environment does not define the unit directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Neither variable holds an absolute path.
    #[error("neither `XDG_CONFIG_HOME` nor `HOME` is an absolute path")]
    NoHome,
}

impl Scope {
    /// Returns the directory that Quadlet reads this scope's units from (podman-systemd.unit(5)).
    ///
    /// For a user it follows this process's `XDG_CONFIG_HOME`, whereas the generator follows that of the user's
    /// manager; [`differing_directories`](crate::differing_directories) returns a difference.
    ///
    /// # Errors
    /// [`ScopeError::NoHome`] for a user without a home.
    pub fn unit_dir(self) -> Result<PathBuf, ScopeError> {
        self.unit_dir_in(&|name| std::env::var_os(name))
    }

    /// Returns the D-Bus addresses of the manager's bus, in order of preference.
    pub fn bus_addresses(self) -> Vec<String> {
        let uid = rustix::process::getuid().as_raw();
        self.bus_addresses_in(uid, &|name| std::env::var_os(name))
    }

    /// Returns the target that pulls in the units when the manager starts; a user's manager has no `multi-user.target`.
    pub fn wanted_by(self) -> &'static str {
        match self {
            Self::User => "default.target",
            Self::System => "multi-user.target",
        }
    }

    /// As [`unit_dir`](Self::unit_dir), in the given environment.
    pub(crate) fn unit_dir_in(
        self,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<PathBuf, ScopeError> {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        match self {
            Self::System => Ok(PathBuf::from("/etc/containers/systemd")),
            Self::User => absolute("XDG_CONFIG_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".config")))
                .map(|config| config.join("containers/systemd"))
                .ok_or(ScopeError::NoHome),
        }
    }

    fn bus_addresses_in(
        self,
        uid: u32,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Vec<String> {
        let text = |name| {
            variable(name)
                .and_then(|value| value.into_string().ok())
                .filter(|value| !value.is_empty())
        };
        match self {
            Self::System => match text("DBUS_SYSTEM_BUS_ADDRESS") {
                Some(list) => addresses(&list),
                None => vec!["unix:path=/run/dbus/system_bus_socket".to_owned()],
            },
            Self::User => {
                if let Some(list) = text("DBUS_SESSION_BUS_ADDRESS") {
                    return addresses(&list);
                }
                // Processes started by su, sudo or cron have neither variable.
                let directory =
                    text("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{uid}"));
                vec![format!("unix:path={}", escaped(&format!("{directory}/bus")))]
            }
        }
    }

    /// Returns the runtime directory, if there is one.
    pub(crate) fn runtime_dir(self) -> Option<PathBuf> {
        match self {
            Self::System => Some(PathBuf::from("/run")),
            Self::User => std::env::var_os("XDG_RUNTIME_DIR")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute() && Path::is_dir(path)),
        }
    }
}

/// Splits an address list at semicolons, as the D-Bus specification defines.
fn addresses(list: &str) -> Vec<String> {
    list.split(';').filter(|address| !address.is_empty()).map(str::to_owned).collect()
}

/// Escapes a path as an address value: bytes outside `[-0-9A-Za-z_/.\*]` become `%xx` (D-Bus specification, server
/// addresses).
fn escaped(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'/' | b'.' | b'\\' | b'*' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02x}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        }
    }

    #[test]
    fn a_users_units_are_in_its_configuration_directory() {
        let directory = |pairs: &[_]| Scope::User.unit_dir_in(&with(pairs));
        let home = ("HOME", "/home/archy");
        assert_eq!(
            directory(&[home]).unwrap(),
            Path::new("/home/archy/.config/containers/systemd")
        );
        assert_eq!(
            directory(&[home, ("XDG_CONFIG_HOME", "/c")]).unwrap(),
            Path::new("/c/containers/systemd")
        );
        assert_eq!(
            directory(&[home, ("XDG_CONFIG_HOME", "relative")]).unwrap(),
            Path::new("/home/archy/.config/containers/systemd"),
            "a relative path counts as unset (XDG base directory specification)"
        );
        assert_eq!(directory(&[("HOME", "")]), Err(ScopeError::NoHome));
    }

    #[test]
    fn a_user_without_a_session_still_finds_its_bus() {
        let found = |pairs: &[_]| Scope::User.bus_addresses_in(1000, &with(pairs));
        assert_eq!(found(&[]), ["unix:path=/run/user/1000/bus"]);
        assert_eq!(found(&[("XDG_RUNTIME_DIR", "/r x")]), ["unix:path=/r%20x/bus"]);
        let listed = ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/a;unix:abstract=b;");
        assert_eq!(found(&[listed]), ["unix:path=/a", "unix:abstract=b"]);
    }

    #[test]
    fn the_system_has_one_place_for_each() {
        let none = with(&[]);
        assert_eq!(Scope::System.unit_dir_in(&none).unwrap(), Path::new("/etc/containers/systemd"));
        assert_eq!(
            Scope::System.bus_addresses_in(0, &none),
            ["unix:path=/run/dbus/system_bus_socket"]
        );
    }
}
