//! `Companions`: the API for a host program.
//!
//! *Flow.* A call records an intent durably. Then this process leads and carries it out or, while another
//! process leads, waits until the leader has observed the intent and its companions have settled.
//!
//! *Guarantees.* Exactly one process decides about a host at a time, with one set of inputs. An intent
//! that was recorded is carried out by the leader, even if the process that recorded it exits.
//!
//! *Caveats.* A program that runs for long leads for long: [`Companions::run`]. One that only makes single
//! calls leads for as long as each takes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::ports::{Host, PortError};
use companion_core::reconciler::Reconciler;
use companion_core::status::{CompanionStatus, status};
use companion_core::supervisor::RESYNC;
use tokio::sync::Notify;

use crate::app::AppId;
use crate::catalog::Catalog;
use crate::desired_store::RecordStore;
use crate::host::{Backend, HostError};
use crate::leader::{Heartbeat, LeaderInfo, Role};
use crate::metrics::Metrics;
use crate::published::Publisher;
use crate::record::Record;

mod archives;
mod converged;
mod error;
mod follow;
mod leading;
mod options;

pub use converged::{CompanionError, Converged, Failures, StepReport, failures_of};
pub use error::{CompanionsError, Reloaded};
use leading::Leading;
pub use options::Options;

/// Manages the companions of the installed apps.
///
/// Every call is safe concurrently with every other, in this process and in others. Dropping it stops no
/// companion.
pub struct Companions {
    store: Arc<RecordStore>,
    reconciler: Arc<Reconciler>,
    publisher: Arc<Publisher>,
    /// What wakes the loop of `run`.
    wake: Arc<Notify>,
    /// The directory of the leader's lock, unless the host was given by its ports.
    leader_dir: Option<PathBuf>,
    /// What is swept and waited for, unless the host was given by its ports.
    backend: Option<Arc<dyn Backend>>,
    /// What leads in this process: the loop of `run`, and calls.
    leading: Mutex<Leading>,
    by: String,
}

/// The companions that an intent concerns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Concerned {
    /// Companions to run. One that is not in the desired state, because its app was never installed or was removed
    /// meanwhile, counts as failed.
    pub present: BTreeSet<CompanionName>,
    /// Companions to remove; a missing one counts as removed.
    pub removed: BTreeSet<CompanionName>,
}

impl Concerned {
    /// All of them.
    pub fn names(&self) -> BTreeSet<CompanionName> {
        &self.present | &self.removed
    }
}

impl Companions {
    /// Connects to the host of `backend`, with the default options and `catalog`.
    ///
    /// # Errors
    /// [`HostError`] for a missing prerequisite.
    pub async fn connect(
        backend: impl Backend + 'static,
        catalog: Catalog,
    ) -> Result<Self, HostError> {
        Options::new(backend).with_catalog(catalog).connect().await
    }

    /// Companions of `store`'s desired state, on a host made of other ports.
    pub fn on(store: Arc<RecordStore>, host: Host) -> Self {
        let settings = store.inputs().settings().clone();
        let (version, dir) = (env!("CARGO_PKG_VERSION"), store.dir());
        let leader =
            LeaderInfo::of_this_process("archipelago", Role::Daemon, version, dir, settings);
        let heartbeat = Arc::new(Heartbeat::new(RESYNC));
        let metrics = Metrics::default();
        let publisher = Publisher::new(Arc::clone(&store), leader, heartbeat, None, metrics);
        let desired = Arc::clone(&store) as _;
        Self::wired(store, Host { desired, ..host }, publisher)
    }

    fn wired(store: Arc<RecordStore>, host: Host, publisher: Publisher) -> Self {
        // What is read here once is read where blocking is allowed from then on.
        store.inputs().refresh();
        let uid = rustix::process::getuid().as_raw();
        let by = format!("{}, uid {uid}", publisher.leader.program);
        let publisher = Arc::new(publisher);
        let reconciler = Arc::new(Reconciler::with_events(host, Arc::clone(&publisher) as _));
        Self {
            store,
            reconciler,
            publisher,
            wake: Arc::default(),
            leader_dir: None,
            backend: None,
            leading: Mutex::default(),
            by,
        }
    }

    /// Returns the current catalog.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.store.inputs().catalog()
    }

    /// The desired state.
    pub fn store(&self) -> &Arc<RecordStore> {
        &self.store
    }

    /// The reconciler, for a caller's own reconciles and dry runs.
    pub fn reconciler(&self) -> &Arc<Reconciler> {
        &self.reconciler
    }

    /// Records that `app` is installed, and makes its companions run.
    ///
    /// Each companion is installed on its own: one failure is reported and stops no other.
    ///
    /// # Errors
    /// [`CompanionsError`] when the intent could not be recorded or nothing be reconciled.
    pub async fn install_for(&self, app: &AppId) -> Result<Failures, CompanionsError> {
        let apps = std::slice::from_ref(app);
        let (generation, concerned) = self.record_apps(apps, &[]).await?;
        self.failures(generation, &concerned).await
    }

    /// Records in one step that `installed` are installed and `removed` are removed; returns the generation and the
    /// companions of both, and executes nothing. Each is a new intent, also when it is repeated; an app without
    /// companions is none.
    ///
    /// # Errors
    /// [`CompanionsError::Record`], [`CompanionsError::OtherLeader`].
    pub async fn record_apps(
        &self,
        installed: &[AppId],
        removed: &[AppId],
    ) -> Result<(Generation, Concerned), CompanionsError> {
        let (installed, removed, by) = (installed.to_vec(), removed.to_vec(), self.by.clone());
        if !installed.is_empty() {
            self.store.known_catalog().await.map_err(CompanionsError::Record)?;
        }
        self.record(move |record, catalog| {
            let mut concerned = Concerned::default();
            for app in &installed {
                let companions = catalog.companions_for(app);
                if !companions.is_empty() {
                    record.install(app, &by, catalog);
                }
                concerned.present.extend(companions);
            }
            for app in &removed {
                concerned.removed.extend(record.remove(app, &by, catalog));
            }
            (!concerned.present.is_empty() || !removed.is_empty(), concerned)
        })
        .await
    }

    /// Makes all companions of `app` run if it is installed, without a new intent. Companions of an app that
    /// is not installed are among the failures.
    ///
    /// As desired: only the configuration is rendered, with a restart if it changed. Stopped: started.
    /// Missing: installed. Wedged (paused, created, unknown): recreated.
    ///
    /// # Errors
    /// [`CompanionsError`] when nothing could be reconciled.
    pub async fn ensure_running(&self, app: &AppId) -> Result<Failures, CompanionsError> {
        let generation = self.renew().await?;
        let (present, removed) = (self.catalog().companions_for(app), BTreeSet::new());
        self.failures(generation, &Concerned { present, removed }).await
    }

    /// Records `app` as removed, and removes the companions that no other installed app needs:
    /// service, unit, container and rendered configuration.
    ///
    /// The removal is final when this returns: no earlier reconcile can undo it.
    ///
    /// # Errors
    /// [`CompanionsError`] when the intent could not be recorded or nothing be reconciled.
    pub async fn remove_for(&self, app: &AppId) -> Result<Failures, CompanionsError> {
        let apps = std::slice::from_ref(app);
        let (generation, concerned) = self.record_apps(&[], apps).await?;
        self.failures(generation, &concerned).await
    }

    /// Reconciles all that is recorded, after taking in what `installed` names and no intent was ever
    /// recorded about.
    ///
    /// An app that was removed stays removed although `installed` still names it: the list may be
    /// older than the removal. And an app that `installed` does not name keeps its companions, until
    /// [`remove_for`](Self::remove_for) is called for it: a list that was cut short removes nothing.
    ///
    /// # Errors
    /// [`CompanionsError`] when the desired state could not be used or nothing be reconciled.
    pub async fn reconcile(&self, installed: &[AppId]) -> Result<Failures, CompanionsError> {
        self.sync(installed).await?;
        let generation = self.renew().await?;
        Ok(self.converge(generation, None).await?.unready())
    }

    /// Takes in the apps of `installed` that no intent was ever recorded about, and the companions that
    /// the catalog newly has for installed apps. An app that `installed` does not name is kept until
    /// [`remove_for`](Self::remove_for) is called for it.
    ///
    /// # Errors
    /// [`CompanionsError::Record`].
    pub async fn sync(&self, installed: &[AppId]) -> Result<Generation, CompanionsError> {
        sync(&self.store, installed.to_vec(), self.by.clone())
            .await
            .map_err(CompanionsError::Record)
    }

    /// Retries everything immediately, without waiting for back-offs. Without a leader there is no back-off, and
    /// nothing is written.
    ///
    /// # Errors
    /// [`CompanionsError::Record`], [`CompanionsError::OtherLeader`].
    pub async fn renew(&self) -> Result<Generation, CompanionsError> {
        let led = self.leader_if_other().await?.is_some() || self.is_leading();
        let renew = move |record: &mut Record, _catalog: &Catalog| {
            if led {
                record.renew();
            }
            (led, ())
        };
        Ok(self.record(renew).await?.0)
    }

    /// Makes the leader read its inputs again, and waits for it.
    ///
    /// # Errors
    /// [`CompanionsError`] when the intent could not be recorded or the leader does not answer.
    pub async fn reload(&self) -> Result<Reloaded, CompanionsError> {
        if self.leader_if_other().await?.is_none() {
            return Ok(Reloaded::Nobody);
        }
        let touch = |record: &mut Record, _catalog: &Catalog| {
            record.touch();
            (true, ())
        };
        let (generation, ()) = self.record(touch).await?;
        match self.follow(generation, Some(&BTreeSet::new())).await? {
            Some((report, _events)) => match report.inputs.problem {
                None => Ok(Reloaded::InForce),
                Some(problem) => Ok(Reloaded::Refused(problem)),
            },
            None => {
                if !self.is_leading() {
                    self.reconciler.shut_down().await;
                }
                Ok(Reloaded::Nobody)
            }
        }
    }

    async fn record<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Record, &Catalog) -> (bool, T) + Send + 'static,
    ) -> Result<(Generation, T), CompanionsError> {
        self.refuse_other_leader().await?;
        self.store.update(change).await.map_err(CompanionsError::Record)
    }

    /// The apps that are recorded as installed.
    ///
    /// # Errors
    /// [`CompanionsError::Record`].
    pub async fn installed(&self) -> Result<BTreeSet<AppId>, CompanionsError> {
        self.store.installed().await.map_err(CompanionsError::Record)
    }

    /// The status of every companion, looked at now by this process; changes nothing.
    ///
    /// # Errors
    /// [`CompanionsError::Reconcile`] when the desired state could not be read.
    pub async fn status(&self) -> Result<Vec<CompanionStatus>, CompanionsError> {
        let reconcile = self.reconciler.dry_run().await.map_err(CompanionsError::Reconcile)?;
        Ok(status(&reconcile))
    }

    async fn failures(
        &self,
        generation: Generation,
        concerned: &Concerned,
    ) -> Result<Failures, CompanionsError> {
        let names = concerned.names();
        if names.is_empty() {
            return Ok(Failures::new());
        }
        let converged = self.converge(generation, Some(&names)).await?;
        Ok(failures_of(&converged.companions, concerned))
    }
}

async fn sync(
    store: &RecordStore,
    installed: Vec<AppId>,
    by: String,
) -> Result<Generation, PortError> {
    let change = move |record: &mut Record, catalog: &Catalog| {
        let new: Vec<_> = installed
            .iter()
            .filter(|app| record.is_installed(app).is_none())
            .filter(|app| !catalog.companions_for(app).is_empty())
            .collect();
        new.iter().for_each(|app| record.install(app, &by, catalog));
        let grown = record.sync_catalog(catalog);
        (grown || !new.is_empty(), ())
    };
    Ok(store.update(change).await?.0)
}

#[cfg(test)]
pub(crate) mod tests;
