//! What a host has: plans leave out the steps that a host does not need.

use super::companion::CompanionSpec;

/// The optional abilities of a host.
///
/// systemd with Podman has all of them; a container engine without a service manager has fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostTraits {
    /// A written unit takes effect only once it is loaded. Without this, plans contain no load.
    pub loads_units: bool,
    /// The host keeps a failure, and counts starts toward a limit, until a reset. Without this, plans contain no
    /// reset.
    pub keeps_failures: bool,
    /// The host waits for `restart_delay` before it restarts a container.
    pub restart_delay: bool,
    /// Each pull decides whether it verifies certificates.
    pub tls_per_pull: bool,
    /// A container with a separate network can reach the host's loopback at a fixed address.
    pub host_loopback: bool,
}

impl HostTraits {
    /// All abilities.
    pub const ALL: Self = Self {
        loads_units: true,
        keeps_failures: true,
        restart_delay: true,
        tls_per_pull: true,
        host_loopback: true,
    };
    /// No optional ability.
    pub const NONE: Self = Self {
        loads_units: false,
        keeps_failures: false,
        restart_delay: false,
        tls_per_pull: false,
        host_loopback: false,
    };

    /// Returns the settings of `spec` that this host does not honour, by their names in the catalog.
    pub fn not_honoured(&self, spec: &CompanionSpec) -> Vec<&'static str> {
        let delay = spec.container.restart_delay.is_some() && !self.restart_delay;
        let unverified = spec.image.pull.as_ref().is_some_and(|pull| !pull.verify_tls);
        let tls = unverified && !self.tls_per_pull;
        let loopback = spec.container.host_loopback && !self.host_loopback;
        let named = [(delay, "restart_delay"), (tls, "verify_tls"), (loopback, "host_loopback")];
        named.into_iter().filter_map(|(is_ignored, name)| is_ignored.then_some(name)).collect()
    }
}

impl Default for HostTraits {
    fn default() -> Self {
        Self::ALL
    }
}
