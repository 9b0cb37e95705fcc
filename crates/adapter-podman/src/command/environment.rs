//! The environment variables that each podman call gets.

use std::ffi::{OsStr, OsString};
use std::fmt;

use super::argv::Kind;
use super::secrets::Secrets;

/// The variables that each podman inherits. All others are dropped: with `NOTIFY_SOCKET` podman could notify the
/// service manager in our name, and `CONTAINERS_CONF`, `CONTAINER_HOST` or `STORAGE_DRIVER` would select another host
/// or store.
const INHERITED: [&str; 10] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "REGISTRY_AUTH_FILE",
];

/// Additional variables of a build or a pull: proxies and trusted certificates. Podman passes the proxies to each `RUN`
/// of a build, and keeps them out of the image (podman-build(1), `--http-proxy`).
const NETWORK: [&str; 10] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The variables that are passed on. `Debug` shows only their names.
pub(crate) struct Environment {
    inherited: Vec<(OsString, OsString)>,
    network: Vec<(OsString, OsString)>,
    secrets: Secrets,
}

impl Environment {
    /// Filters `variables`.
    pub(crate) fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let is_in = |list: &[&str], name: &OsStr| list.iter().any(|known| name == *known);
        let (mut inherited, mut network) = (Vec::new(), Vec::new());
        for (name, value) in variables {
            if is_in(&INHERITED, &name) {
                inherited.push((name, value));
            } else if is_in(&NETWORK, &name) {
                network.push((name, value));
            }
        }
        // Error classification relies on English messages.
        inherited.push(("LANG".into(), "C".into()));
        let proxies = network.iter().filter(|(name, _)| is_proxy(name));
        let secrets = Secrets::of_urls(proxies.map(|(_, value)| value.to_string_lossy()));
        Self { inherited, network, secrets }
    }

    /// Returns the value of a variable that every podman inherits.
    pub(crate) fn value(&self, name: &str) -> Option<&OsStr> {
        let mut pairs = self.inherited.iter();
        pairs.find(|(own, _)| own == name).map(|(_, value)| value.as_os_str())
    }

    /// Returns the variables that the podman of a call gets.
    pub(crate) fn passed(&self, kind: Kind) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let network = self.network.iter().filter(move |_| kind.uses_network());
        let all = self.inherited.iter().chain(network);
        all.map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Returns the secrets to redact from podman's output.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.inherited.iter().chain(&self.network);
        f.debug_set().entries(all.map(|(name, _)| name)).finish()
    }
}

fn is_proxy(name: &OsStr) -> bool {
    name.to_string_lossy().to_ascii_lowercase().ends_with("_proxy")
}
