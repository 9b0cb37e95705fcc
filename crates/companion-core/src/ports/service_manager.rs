//! `ServiceManager`: loads units and runs services.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;

use super::{Hint, PortResult};
use crate::model::companion::CompanionName;
#[cfg(doc)]
use crate::model::host::HostTraits;
use crate::model::log::LogTail;
#[cfg(doc)]
use crate::model::service::LoadedUnit;
use crate::model::service::{ServiceState, Verb};

/// A queued request. It is plain data: any instance can [wait](ServiceManager::wait) for its end.
///
/// The identifier is specific to the adapter. Dropping a job does not cancel it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "the outcome is known only after `wait`"]
pub struct Job {
    /// The adapter's identifier.
    pub id: String,
    /// The companion of its unit.
    pub companion: CompanionName,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} of `{}`", self.id, self.companion)
    }
}

/// Loads units from the store and runs them.
///
/// # Contract
/// - Where the host [loads units](HostTraits::loads_units), a written unit is unknown until
///   [`reload`](Self::reload). A reload starts and stops nothing and resets no
///   failure. A reload without changed files changes nothing.
/// - A service keeps running when its unit is deleted, invalid or masked, and can be stopped; it is not
///   restarted then. A restored unit finds the running service.
/// - A managed unit reports its revision, whatever drop-ins exist; an unmanaged unit reports none. A unit from
///   another location than the store's is [`Elsewhere`](LoadedUnit::Elsewhere).
/// - [`begin`](Self::begin) *queues* a job and returns immediately; [`wait`](Self::wait) returns its end, and
///   [`observe`](Self::observe) reads the actual state.
/// - Two equal jobs for one unit both finish as done; of two opposite jobs the last one wins, and the first is
///   replaced unless it was done.
/// - A program that exits or is killed is restarted according to its unit, after the restart delay; until then
///   it is not down. A stop keeps it down, a start finishes with that restart, and a restart skips the delay.
/// - A program that ignores a stop is killed after the stop timeout: the stop is done, and the service failed.
/// - Where the host [keeps failures](HostTraits::keeps_failures), a service that hit its start limit refuses to start until [`reset_failed`](Self::reset_failed); a host may
///   also reset the limit after some time. With a restart delay of 2 s or more there is no limit.
/// - A service that failed for another reason starts without a reset.
/// - The complete log of a failed run is readable until the next start.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ServiceManager: Send + Sync {
    /// Reads the state of each of `names`; returns an entry for every name, also for a unit that is not loaded
    /// ([`ServiceState::absent`]).
    ///
    /// An entry is `Unavailable` without a service manager, and `Transient` when the connection is lost. The
    /// failure of one entry does not affect the others.
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ServiceState>>;

    /// Reads the last log lines of the run of each state in `ended`; returns an entry for every name. A host
    /// without logs returns empty ones.
    ///
    /// It is called only for services whose last run [failed](ServiceState::has_failed), whenever they are observed; an
    /// adapter may cache the log per run.
    ///
    /// An entry is `Unavailable` if the log cannot be read on this host, `Denied` when permission is denied,
    /// and `Transient` on a timeout.
    async fn log_tails(
        &self,
        ended: &BTreeMap<CompanionName, ServiceState>,
    ) -> BTreeMap<CompanionName, PortResult<LogTail>> {
        ended.keys().map(|name| (name.clone(), Ok(LogTail::default()))).collect()
    }

    /// Reloads all units from the store (`systemctl daemon-reload`). It is called only on a host that
    /// [loads units](HostTraits::loads_units).
    ///
    /// An invalid unit is skipped and does not fail the reload.
    ///
    /// # Errors
    /// `Transient` on a rate limit or a timeout; `Conflict` when a broken unmanaged file would unload units,
    /// `Unavailable` when the generator is missing or broken. After these two, nothing was reloaded.
    async fn reload(&self) -> PortResult<()> {
        Ok(())
    }

    /// Queues `verb` for the service and returns immediately.
    ///
    /// # Errors
    /// `NotFound` when the unit is not loaded or invalid; a stop needs a unit or a process only. `Denied` when the
    /// operator holds the unit back and `verb` would start it.
    async fn begin(&self, name: &CompanionName, verb: Verb) -> PortResult<Job>;

    /// Waits for the end of `job`, queued by any instance at any time.
    ///
    /// A job that another one replaced ends without an error: whoever needs the state observes it.
    ///
    /// # Errors
    /// `Transient` with the host's reason when the job failed, and on a timeout, after which it may still finish;
    /// `Invalid` for a job of another service manager.
    async fn wait(&self, job: Job) -> PortResult<()>;

    /// Resets the failed state and the start counter of the unit; a running service is not affected. It is called
    /// only on a host that [keeps failures](HostTraits::keeps_failures).
    ///
    /// # Errors
    /// As for every call; succeeds for a unit that is not loaded.
    async fn reset_failed(&self, _name: &CompanionName) -> PortResult<()> {
        Ok(())
    }

    /// Waits until the host reports that a service may have changed since this last returned; then a reconcile
    /// follows soon. The result is a hint about companions that were observed: a host may report too much, and the
    /// resync finds what it does not report.
    ///
    /// The call is dropped and repeated between reconciles: a change while no call waits makes the next one return
    /// immediately. A host that reports nothing never returns.
    async fn changed(&self) -> Hint {
        std::future::pending().await
    }
}
