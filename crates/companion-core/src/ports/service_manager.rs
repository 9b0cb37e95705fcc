//! `ServiceManager`: who runs the units.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;

use super::PortResult;
use crate::model::companion::CompanionName;
use crate::model::log::LogTail;
use crate::model::unit::{JobResult, ServiceState};

/// A job that was queued, to be waited for.
///
/// The identifier is the adapter's own; dropping a job forgets it and cancels nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "a job that is not waited for has not succeeded"]
pub struct Job {
    /// The adapter's identifier.
    pub id: String,
    /// The companion whose unit it is for.
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
/// - A unit that was written is not known before [`reload`](Self::reload), and a reload starts and
///   stops nothing, forgives no failure and ends no run. One that finds nothing new changes nothing.
/// - What runs, runs on when its unit vanishes, becomes unsound or is masked, and can be stopped; it is
///   not started again then. A unit that comes back finds what ran on.
/// - A unit of ours names its source and its revision, whatever an operator adds beside its file; one
///   that is not ours names no revision.
/// - A start or stop is *queued* by its method, which returns at once; its outcome is what
///   [`wait`](Self::wait) returns, and the truth is what [`observe`](Self::observe) reads after.
/// - Of two jobs for one unit that want the same, both are done; of two that want the opposite, the last
///   one counts, and the first ends as cancelled unless it was done.
/// - A program that ends, or is killed, is started again as its unit says, after its delay; until then
///   it is not down. A stop keeps it down, a start is done with that next start, and a restart does not
///   wait for it.
/// - A program that does not heed a stop is killed when its time is over: the stop is done, and the
///   service failed.
/// - A service that was started too often refuses to start until [`reset_failed`](Self::reset_failed);
///   whether time alone ends that, too, is the host's own. One whose restart delay is 2 s or more has
///   no limit.
/// - A service that failed for another reason can be started without a reset.
/// - What a failed run logged can be read until the next start, down to its last line.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ServiceManager: Send + Sync {
    /// Reads the state of each of `names`; the answer has an entry for every name. A unit that is not
    /// loaded is an entry like any other ([`ServiceState::not_found`]).
    ///
    /// An entry is `Unavailable` without a service manager, and `Transient` when the connection broke. A
    /// unit whose state cannot be read is the error of its name alone.
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ServiceState>>;

    /// Reads what the run that each state of `ended` is about logged last; the answer has an entry for
    /// every name. A host that keeps no log answers with empty ones.
    ///
    /// It is asked only for services whose last run [failed](ServiceState::has_failed), each time they are
    /// looked at; what a run that ended logged does not change, so an adapter reads it once per run.
    ///
    /// An entry is `Unavailable` without a means to read the log, `Denied` when it must not be read, and
    /// `Transient` when it was not read in time.
    async fn log_tails(
        &self,
        ended: &BTreeMap<CompanionName, ServiceState>,
    ) -> BTreeMap<CompanionName, PortResult<LogTail>> {
        ended.keys().map(|name| (name.clone(), Ok(LogTail::default()))).collect()
    }

    /// Loads all units from the store again.
    ///
    /// A unit that is refused does not make it fail; it is then simply not loaded.
    ///
    /// # Errors
    /// `Transient` when the service manager put it off (a rate limit) or did not answer in time;
    /// `Conflict` when somebody's broken file would cost units that are loaded, `Unavailable` when the
    /// generator of units is missing or broken. Then nothing was reloaded.
    async fn reload(&self) -> PortResult<()>;

    /// Queues a start; starting what runs is a job that is done at once.
    ///
    /// # Errors
    /// `NotFound` when no such unit is loaded or it could not be understood, `Denied` when it is
    /// masked.
    async fn start(&self, name: &CompanionName) -> PortResult<Job>;

    /// Queues a stop, which lets the container end by itself first. Stopping what does not run is a job
    /// that is done at once, and leaves what failed failed.
    ///
    /// # Errors
    /// `NotFound` when no such unit is loaded and nothing of it runs; a masked one is known.
    async fn stop(&self, name: &CompanionName) -> PortResult<Job>;

    /// Queues a restart: a stop if it runs, then a start.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    async fn restart(&self, name: &CompanionName) -> PortResult<Job>;

    /// Waits until `job` ended, whichever instance queued it, and however long ago that was.
    ///
    /// # Errors
    /// `Invalid` for a job that is none of this service manager's, `Transient` when its end was not seen in time; the job may yet be done.
    async fn wait(&self, job: Job) -> PortResult<JobResult>;

    /// Forgets that the unit failed, and how often it was started; what runs is not touched.
    ///
    /// # Errors
    /// As every call; a unit that is not loaded has nothing to forget and is a success.
    async fn reset_failed(&self, name: &CompanionName) -> PortResult<()>;
}
