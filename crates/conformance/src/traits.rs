//! [`Trait`]: what some hosts have and others do not. A case declares those that it needs.

use std::collections::BTreeSet;

use companion_core::model::host::HostTraits;

/// Something that not every host has.
///
/// The first four are those of [`HostTraits`] that cases need; the others only decide which cases concern a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trait {
    /// A written unit takes effect only at a reload ([`HostTraits::loads_units`]).
    LoadsUnits,
    /// A failure, and the number of restarts, are kept until a reset ([`HostTraits::keeps_failures`]).
    KeepsFailures,
    /// A restart waits for the delay that the unit names ([`HostTraits::restart_delay`]).
    RestartDelay,
    /// Each pull decides whether it verifies certificates ([`HostTraits::tls_per_pull`]).
    TlsPerPull,
    /// A validator rejects units before they are written.
    Validator,
    /// The operator can hold a unit back (`systemctl mask`).
    Holds,
    /// A unit of the same name from another location can take precedence.
    Overrides,
    /// A service that ends too often is not restarted any more.
    StartLimit,
    /// A start that failed before the program ran leaves the service failed, with an exit code.
    FailedStarts,
    /// The log of a failed run is readable.
    Logs,
    /// The host reports changes of services (`ServiceManager::changed`).
    Changes,
}

impl Trait {
    /// All traits, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::LoadsUnits,
        Self::KeepsFailures,
        Self::RestartDelay,
        Self::TlsPerPull,
        Self::Validator,
        Self::Holds,
        Self::Overrides,
        Self::StartLimit,
        Self::FailedStarts,
        Self::Logs,
        Self::Changes,
    ];

    /// Returns the traits of `host`, and `more`.
    pub fn of(host: HostTraits, more: &[Self]) -> BTreeSet<Self> {
        let HostTraits {
            loads_units,
            keeps_failures,
            restart_delay,
            tls_per_pull,
            host_loopback: _,
        } = host;
        let named = [
            (loads_units, Self::LoadsUnits),
            (keeps_failures, Self::KeepsFailures),
            (restart_delay, Self::RestartDelay),
            (tls_per_pull, Self::TlsPerPull),
        ];
        let host = named.into_iter().filter_map(|(has, one)| has.then_some(one));
        host.chain(more.iter().copied()).collect()
    }
}

/// What every world declares about its host.
pub trait HostWorld: Send + Sync {
    /// The traits of the host; all by default. A case that needs another one is reported as not of this host.
    fn traits(&self) -> BTreeSet<Trait> {
        Trait::ALL.into()
    }
}
