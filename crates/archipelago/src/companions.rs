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
use std::sync::{Arc, Mutex};

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::ports::{DesiredStore, Host, PortError};
use companion_core::reconciler::{Event, EventSink, Reconciler};
use companion_core::status::{CompanionStatus, status};

use crate::app::AppId;
use crate::catalog::Catalog;
use crate::desired_store::RecordStore;
use crate::host::{Backend, HostError};
use crate::leader::{LeaderInfo, LeaderLock, Role};
use crate::published::{Listener, Publisher};
use crate::record::Record;

mod archives;
mod converged;
mod desired;
mod error;
mod follow;
mod leading;
mod options;

pub use converged::{CompanionError, Converged, Failures, StepReport, failures_of};
pub use desired::Concerned;
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
    publisher: Publisher,
    /// The lock on files, if the leadership is one.
    lock: Option<Arc<LeaderLock>>,
    /// What is swept and waited for, unless the host was given by its ports.
    backend: Option<Arc<dyn Backend>>,
    /// What leads in this process: the loop of `run`, and calls.
    leading: Arc<Mutex<Leading>>,
    by: String,
}

/// Passes events on to each of several sinks.
struct Fanout(Vec<Arc<dyn EventSink>>);

impl EventSink for Fanout {
    fn on_event(&self, event: &Event<'_>) {
        self.0.iter().for_each(|sink| sink.on_event(event));
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
        Self::on_listening(store, host, Arc::new(|_event| {}))
    }

    /// Same as [`on`](Self::on), with a listener that receives each event immediately.
    pub fn on_listening(store: Arc<RecordStore>, host: Host, listener: Listener) -> Self {
        let settings = store.inputs().settings().clone();
        let (version, dir) = (env!("CARGO_PKG_VERSION"), store.dir().to_owned());
        let role = Role::Daemon;
        let leader = LeaderInfo::of_this_process("archipelago", role, version, dir, settings);
        let desired: Arc<dyn DesiredStore> = Arc::clone(&store) as _;
        Self::wired(store, Host { desired, ..host }, leader, Some(listener), Vec::new())
    }

    fn wired(
        store: Arc<RecordStore>,
        host: Host,
        leader: LeaderInfo,
        listener: Option<Listener>,
        sinks: Vec<Arc<dyn EventSink>>,
    ) -> Self {
        // What is read here once is read where blocking is allowed from then on.
        store.inputs().refresh();
        let by = format!("{}, uid {}", leader.program, rustix::process::getuid().as_raw());
        let publisher = Publisher::new((*store).clone(), leader, listener);
        let mut sinks = sinks;
        sinks.push(Arc::new(publisher.clone()));
        let reconciler = Arc::new(Reconciler::with_events(host, Arc::new(Fanout(sinks))));
        Self {
            store,
            reconciler,
            publisher,
            lock: None,
            backend: None,
            leading: Arc::default(),
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

    /// The reconciler, for reconciles and dry runs of one's own.
    pub fn reconciler(&self) -> &Arc<Reconciler> {
        &self.reconciler
    }

    /// The companions of `app`; none for an app that has none.
    pub fn companions_for(&self, app: &AppId) -> BTreeSet<CompanionName> {
        self.catalog().companions_for(app)
    }

    /// Records that `app` is installed, and makes its companions run.
    ///
    /// Each companion is installed on its own: one failure is reported and stops no other.
    ///
    /// # Errors
    /// [`CompanionsError`] when the intent could not be recorded or nothing be reconciled.
    pub async fn install_for(&self, app: &AppId) -> Result<Failures, CompanionsError> {
        let (generation, concerned) = self.record_install(std::slice::from_ref(app)).await?;
        self.failures(generation, &concerned).await
    }

    /// Records that `apps` are installed, and returns the intent's generation and what it concerns, the apps'
    /// companions; nothing is done yet.
    ///
    /// # Errors
    /// [`CompanionsError::Record`], [`CompanionsError::OtherLeader`].
    pub async fn record_install(
        &self,
        apps: &[AppId],
    ) -> Result<(Generation, Concerned), CompanionsError> {
        let (apps, by) = (apps.to_vec(), self.by.clone());
        self.store.known_catalog().await.map_err(CompanionsError::Record)?;
        self.record(move |record, catalog| {
            let known: Vec<_> =
                apps.iter().filter(|app| !catalog.companions_for(app).is_empty()).collect();
            known.iter().for_each(|app| record.install(app, &by, catalog));
            let names = known.iter().flat_map(|app| catalog.companions_for(app)).collect();
            (!known.is_empty(), Concerned::present(names))
        })
        .await
    }

    /// Makes the companion `name` run, if an installed app needs it: installs a missing one, starts a stopped
    /// one, recreates a wedged one, and leaves alone one that is as desired.
    ///
    /// A companion without an installed app is among the failures.
    ///
    /// # Errors
    /// [`CompanionsError`] when nothing could be reconciled.
    pub async fn install_one(&self, name: &CompanionName) -> Result<Failures, CompanionsError> {
        let generation = self.renew().await?;
        let concerned = Concerned::present(BTreeSet::from([name.clone()]));
        self.failures(generation, &concerned).await
    }

    /// Makes all companions of `app` run if it is installed, without a new intent. Companions of an app that
    /// is not installed are among the failures.
    ///
    /// As desired: only the configuration is rendered, with a restart if it changed. Stopped: started.
    /// Missing: installed. Wedged (paused, created, unknown): recreated.
    ///
    /// # Errors
    /// As [`install_one`](Self::install_one).
    pub async fn ensure_running(&self, app: &AppId) -> Result<Failures, CompanionsError> {
        let generation = self.renew().await?;
        self.failures(generation, &Concerned::present(self.companions_for(app))).await
    }

    /// Records `app` as removed, and removes the companions that no other installed app needs:
    /// service, unit, container and rendered configuration.
    ///
    /// The removal is final when this returns: no earlier reconcile can undo it.
    ///
    /// # Errors
    /// [`CompanionsError`] when the intent could not be recorded or nothing be reconciled.
    pub async fn remove_for(&self, app: &AppId) -> Result<Failures, CompanionsError> {
        let (generation, concerned) = self.record_removal(std::slice::from_ref(app)).await?;
        self.failures(generation, &concerned).await
    }

    /// Records `apps` as removed, and returns the intent's generation and what it concerns, the companions
    /// to remove; it executes nothing.
    ///
    /// # Errors
    /// [`CompanionsError::Record`], [`CompanionsError::OtherLeader`].
    pub async fn record_removal(
        &self,
        apps: &[AppId],
    ) -> Result<(Generation, Concerned), CompanionsError> {
        let (apps, by) = (apps.to_vec(), self.by.clone());
        self.record(move |record, catalog| {
            let gone = apps.iter().flat_map(|app| record.remove(app, &by, catalog)).collect();
            (true, Concerned::removed(gone))
        })
        .await
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
        let converged = self.converge(generation, None).await?;
        Ok(converged.unready())
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
        let led = self.leader_if_other().await?.is_some() || self.users() > 0;
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
            follow::Followed::Settled { report, .. } => match report.inputs.problem {
                None => Ok(Reloaded::InForce),
                Some(problem) => Ok(Reloaded::Refused(problem)),
            },
            follow::Followed::Leads => {
                if self.users() == 0 {
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
mod tests;
