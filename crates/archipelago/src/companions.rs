//! `Companions`: the calls that a host program makes.

use std::collections::BTreeSet;
use std::sync::Arc;

use adapter_podman::Podman;
use adapter_systemd::Scope;
use companion_core::model::companion::CompanionName;
use companion_core::ports::{DesiredStore, Host, PortError};
use companion_core::reconciler::{Outcome, ReconcileError, Reconciler, Reconciliation};
use companion_core::status::{CompanionStatus, Health, status};
use companion_core::supervisor::{Supervisor, TICK};

use crate::app::AppId;
use crate::catalog::Catalog;
use crate::desired_store::RecordStore;
use crate::host::{self, HostError};
use crate::leader::{Heartbeat, LeaderInfo, LeaderLock, Role, Settings, leader_dir};
use crate::record::Record;

/// Keeps the companions of the installed apps.
///
/// Every call is safe beside every other, in this process and in others: one writer at a time has the
/// host. Dropping it stops nothing.
pub struct Companions {
    store: Arc<RecordStore>,
    reconciler: Arc<Reconciler>,
}

/// Why a call could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum CompanionsError {
    /// The wish could not be recorded, or read; nothing was done. A file system that did not answer in
    /// time may record the wish yet.
    #[error("failed to use the record of wishes")]
    Record(#[source] PortError),
    /// A pass could not be made. What was wished is recorded, and the next pass carries it out.
    #[error("failed to reconcile")]
    Reconcile(#[source] ReconcileError),
}

/// A companion that is not as it was wished to be, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("companion `{companion}` is {health}: {why}")]
pub struct CompanionError {
    /// The companion.
    pub companion: CompanionName,
    /// How it is.
    pub health: Health,
    /// Why, in words for people.
    pub why: String,
}

/// What a call asks of the companions that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// That they run. One that nobody wants, because its app was never installed or was removed
    /// meanwhile, has not become what was asked for.
    Installed,
    /// That nothing of them is left. One that is not there is what was asked for.
    Removed,
}

/// The companions that are not as wished; empty when all are.
pub type Failures = Vec<(CompanionName, CompanionError)>;

impl Companions {
    /// Companions of `store`'s record, on the host that `reconciler` works through.
    ///
    /// The reconciler's [`Host::desired`] must be the same `store`.
    pub fn new(store: Arc<RecordStore>, reconciler: Arc<Reconciler>) -> Self {
        Self { store, reconciler }
    }

    /// Companions on this very host: systemd and Podman of `scope`, with the record in its state
    /// directory.
    ///
    /// # Errors
    /// [`HostError`] saying what the host lacks.
    pub async fn connect(scope: Scope, catalog: Catalog) -> Result<Self, HostError> {
        let dir = host::state_dir(scope).ok_or(HostError::NoHome)?;
        let store = Arc::new(RecordStore::new(dir, Arc::new(catalog)));
        let settings = Settings::default();
        let version = env!("CARGO_PKG_VERSION");
        let program = std::env::args().next().unwrap_or_else(|| "archipelago".to_owned());
        let info =
            LeaderInfo::of_this_process(program, Role::Daemon, version, store.dir(), settings);
        let heartbeat = Arc::new(Heartbeat::new(TICK));
        let dir = leader_dir(scope).map_err(HostError::Leadership)?;
        let lock = Arc::new(LeaderLock::new(dir, info, heartbeat));
        let podman = Podman::from_environment();
        let host = host::connect(scope, Arc::clone(&store), podman, lock).await?;
        Ok(Self::on(store, host))
    }

    /// Companions of `store`'s record, on a host made of other ports.
    pub fn on(store: Arc<RecordStore>, host: Host) -> Self {
        let desired: Arc<dyn DesiredStore> = Arc::clone(&store) as _;
        let reconciler = Reconciler::new(Host { desired, ..host });
        Self::new(store, Arc::new(reconciler))
    }

    /// The catalog.
    pub fn catalog(&self) -> &Catalog {
        self.store.catalog()
    }

    /// The reconciler, for rounds and dry runs of one's own.
    pub fn reconciler(&self) -> &Arc<Reconciler> {
        &self.reconciler
    }

    /// A loop that keeps them true, for a host program that is its own daemon.
    pub fn supervisor(&self) -> Supervisor {
        Supervisor::new(Arc::clone(&self.reconciler))
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
    /// [`CompanionsError`] when the wish could not be recorded or no pass be made.
    pub async fn install_for(&self, app: &AppId) -> Result<Failures, CompanionsError> {
        let names = self.wish_installed(std::slice::from_ref(app)).await?;
        self.converge(&names, Wish::Installed).await
    }

    /// Records that `apps` are installed, and returns their companions; nothing is done yet.
    ///
    /// # Errors
    /// [`CompanionsError::Record`].
    pub async fn wish_installed(
        &self,
        apps: &[AppId],
    ) -> Result<BTreeSet<CompanionName>, CompanionsError> {
        let apps = apps.to_vec();
        let wish = move |record: &mut Record, catalog: &Catalog| {
            let known: Vec<_> =
                apps.iter().filter(|app| !catalog.companions_for(app).is_empty()).collect();
            known.iter().for_each(|app| record.install(app, catalog));
            let names = known.iter().flat_map(|app| catalog.companions_for(app)).collect();
            (!known.is_empty(), names)
        };
        self.store.update(wish).await.map_err(CompanionsError::Record)
    }

    /// Makes the companion `name` run, if an installed app has it: what is missing is installed, what
    /// is stopped started, what is wedged created anew, and what is true left alone.
    ///
    /// A companion that no installed app has is among the failures: nothing was done for it.
    ///
    /// # Errors
    /// [`CompanionsError`] when no pass could be made.
    pub async fn install_one(&self, name: &CompanionName) -> Result<Failures, CompanionsError> {
        self.adopt(&[]).await?;
        self.converge(&BTreeSet::from([name.clone()]), Wish::Installed).await
    }

    /// Makes all companions of `app` run if it is installed, and changes no wish. Those of an app that
    /// is not are among the failures.
    ///
    /// Running and true: nothing but a refreshed configuration, and a restart if that changed.
    /// Stopped: started. Missing: installed. Wedged (paused, created, unknown): created anew.
    ///
    /// # Errors
    /// As [`install_one`](Self::install_one).
    pub async fn ensure_running(&self, app: &AppId) -> Result<Failures, CompanionsError> {
        self.adopt(&[]).await?;
        self.converge(&self.companions_for(app), Wish::Installed).await
    }

    /// Records that `app` is gone, and removes the companions that no other installed app has:
    /// service, unit, container and rendered configuration.
    ///
    /// The removal is final once this returned: no pass that began before can undo it.
    ///
    /// # Errors
    /// [`CompanionsError`] when the wish could not be recorded or no pass be made.
    pub async fn remove_for(&self, app: &AppId) -> Result<Failures, CompanionsError> {
        let names = self.wish_removed(std::slice::from_ref(app)).await?;
        self.converge(&names, Wish::Removed).await
    }

    /// Records that `apps` are gone, and returns the companions that go with them; nothing is done
    /// yet.
    ///
    /// # Errors
    /// [`CompanionsError::Record`].
    pub async fn wish_removed(
        &self,
        apps: &[AppId],
    ) -> Result<BTreeSet<CompanionName>, CompanionsError> {
        let apps = apps.to_vec();
        let wish = move |record: &mut Record, catalog: &Catalog| {
            let gone = apps.iter().flat_map(|app| record.remove(app, catalog)).collect();
            (true, gone)
        };
        self.store.update(wish).await.map_err(CompanionsError::Record)
    }

    /// Makes one pass over all that is recorded, after taking in what `installed` names and no wish
    /// was ever recorded about.
    ///
    /// An app that was removed stays removed although `installed` still names it: the list may be
    /// older than the removal. And an app that `installed` does not name keeps its companions, until
    /// [`remove_for`](Self::remove_for) is called for it: a list that was cut short removes nothing.
    ///
    /// # Errors
    /// [`CompanionsError`] when the record could not be used or no pass be made.
    pub async fn reconcile(&self, installed: &[AppId]) -> Result<Failures, CompanionsError> {
        self.adopt(installed).await?;
        let pass = self.reconciler.reconcile().await.map_err(CompanionsError::Reconcile)?;
        Ok(failures(&pass, |_| true))
    }

    /// Takes in the apps of `installed` that no wish was ever recorded about, and the companions that
    /// the catalog newly has for installed apps. An app that `installed` does not name is kept until
    /// [`remove_for`](Self::remove_for) is called for it.
    ///
    /// # Errors
    /// [`CompanionsError::Record`].
    pub async fn adopt(&self, installed: &[AppId]) -> Result<(), CompanionsError> {
        let apps = installed.to_vec();
        let wish = move |record: &mut Record, catalog: &Catalog| {
            let new: Vec<_> = apps
                .iter()
                .filter(|app| record.is_installed(app).is_none())
                .filter(|app| !catalog.companions_for(app).is_empty())
                .collect();
            new.iter().for_each(|app| record.install(app, catalog));
            let grown = record.adopt_catalog(catalog);
            (grown || !new.is_empty(), ())
        };
        self.store.update(wish).await.map_err(CompanionsError::Record)
    }

    /// The apps that are recorded as installed.
    ///
    /// # Errors
    /// [`CompanionsError::Record`].
    pub async fn installed(&self) -> Result<BTreeSet<AppId>, CompanionsError> {
        let record = self.store.read().await.map_err(CompanionsError::Record)?;
        Ok(record.installed().cloned().collect())
    }

    /// The status of every companion, looked at now; changes nothing.
    ///
    /// # Errors
    /// [`CompanionsError::Reconcile`] when the record could not be read.
    pub async fn status(&self) -> Result<Vec<CompanionStatus>, CompanionsError> {
        let round = self.reconciler.dry_run().await.map_err(CompanionsError::Reconcile)?;
        Ok(status(&round))
    }

    /// Makes a pass and reports on `names`, of which `wish` is asked.
    ///
    /// # Errors
    /// [`CompanionsError::Reconcile`].
    pub async fn converge(
        &self,
        names: &BTreeSet<CompanionName>,
        wish: Wish,
    ) -> Result<Failures, CompanionsError> {
        if names.is_empty() {
            return Ok(Failures::new());
        }
        let pass = self.reconciler.reconcile_for(names).await;
        let pass = pass.map_err(CompanionsError::Reconcile)?;
        Ok(failures_of(&pass, names, wish))
    }
}

/// Those of `concerns` that are not as the record wishes at the end of a pass.
///
/// Whoever asked for a companion that the record does not want learns nothing here: that is
/// [`failures_of`].
pub fn failures(pass: &Reconciliation, concerns: impl Fn(&CompanionName) -> bool) -> Failures {
    let not_ready = status(&pass.last)
        .into_iter()
        .filter(|companion| concerns(&companion.name) && !companion.health.is_healthy());
    not_ready.map(|companion| failure(companion.name.clone(), unready(pass, &companion))).collect()
}

/// Those of `names` that are not, at the end of a pass, what `wish` asked of them.
///
/// For [`Wish::Installed`] each that is not ready; for [`Wish::Removed`] each of which something is
/// left, or that is wanted again.
pub fn failures_of(pass: &Reconciliation, names: &BTreeSet<CompanionName>, wish: Wish) -> Failures {
    let statuses = status(&pass.last);
    let judge = |name: &CompanionName| {
        let seen = statuses.iter().find(|status| status.name == *name);
        let wanted = pass.last.desired.companions.contains_key(name);
        let health = |unseen| seen.map_or(unseen, |status| status.health);
        match (wish, wanted, seen) {
            (Wish::Installed, false, _) => {
                Some((health(Health::Blocked), "no installed app has it".to_owned()))
            }
            (Wish::Installed, true, None) => {
                Some((Health::Unknown, "it was not looked at".to_owned()))
            }
            (Wish::Removed, true, _) => {
                Some((health(Health::Unknown), "an installed app has it".to_owned()))
            }
            (_, _, Some(status)) if !status.health.is_healthy() => Some(unready(pass, status)),
            _ => None,
        }
    };
    names.iter().filter_map(|name| Some(failure(name.clone(), judge(name)?))).collect()
}

fn failure(
    companion: CompanionName,
    (health, why): (Health, String),
) -> (CompanionName, CompanionError) {
    (companion.clone(), CompanionError { companion, health, why })
}

fn unready(pass: &Reconciliation, companion: &CompanionStatus) -> (Health, String) {
    (companion.health, why(pass, companion))
}

/// Why `companion` is as it is at the end of `pass`, in words for people: what it waits on, else what
/// failed last; empty when there is nothing to say.
pub fn why(pass: &Reconciliation, companion: &CompanionStatus) -> String {
    if !companion.why.is_empty() {
        return companion.why.join("; ");
    }
    let failed = pass.steps.iter().rev().find_map(|(step, outcome)| match outcome {
        Outcome::Failed { error, .. } if step.companion.as_ref() == Some(&companion.name) => {
            Some(format!("{step}: {error}"))
        }
        _ => None,
    });
    failed.unwrap_or_default()
}

#[cfg(test)]
mod tests;
