//! Leading: what a process does for as long as it decides about the host.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::reconciler::{Reconcile, ReconcileError};
use companion_core::supervisor::Supervisor;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::archives::{self, Archives};
use super::follow::POLL_INTERVAL;
use super::{Companions, CompanionsError, Converged, sync};
use crate::leader::{Heartbeat, Role, leader};

/// What leads in this process. The leadership ends with the last user of it.
#[derive(Default)]
pub(super) struct Leading {
    user: Weak<()>,
    publishing: Option<AbortOnDropHandle<()>>,
}

impl Companions {
    /// Has the intent of `generation` carried out for `names`, or for all: as the leader, or by the leader.
    ///
    /// # Errors
    /// [`CompanionsError`].
    pub async fn converge(
        &self,
        generation: Generation,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Converged, CompanionsError> {
        match self.follow(generation, names).await? {
            Some((report, events)) => Ok(Converged::of_report(report, &events, names)),
            None => {
                let user = self.start_leading().await;
                let converged = self.reconcile_until_settled(names).await;
                if Arc::into_inner(user).is_some() {
                    self.stop_leading().await;
                }
                converged
            }
        }
    }

    fn leading(&self) -> MutexGuard<'_, Leading> {
        self.leading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_leading(&self) -> bool {
        self.leading().user.strong_count() > 0
    }

    /// Starts to use the leadership that was just acquired; the first user prepares the host.
    async fn start_leading(&self) -> Arc<()> {
        let user = Arc::new(());
        {
            let mut leading = self.leading();
            if let Some(user) = leading.user.upgrade() {
                return user;
            }
            leading.user = Arc::downgrade(&user);
        }
        self.prepare().await;
        // Only now: the sweep removes the temporary files of those who write at the same time.
        self.leading().publishing = Some(self.publisher.start());
        user
    }

    async fn reconcile_until_settled(
        &self,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Converged, CompanionsError> {
        let convergence = self.reconciler.converge_for(names).await;
        let convergence = convergence.map_err(CompanionsError::Reconcile)?;
        archives::keep(&self.reconciler, &archives::sources(&convergence.last.desired)).await;
        Ok(Converged::of(&convergence, names))
    }

    /// Ends the work under way softly, and then the leadership.
    pub async fn stop_leading(&self) {
        self.reconciler.shut_down().await;
        if let Some(backend) = &self.backend {
            backend.settled().await;
        }
        self.publisher.flush().await;
        self.leading().publishing = None;
    }

    /// Prepares a new leader, once: removes what interrupted work left, and syncs the catalog.
    async fn prepare(&self) {
        if let Some(backend) = &self.backend {
            match backend.sweep(&self.store).await {
                Ok(0) => {}
                Ok(count) => info!("removed {count} temporary file(s) of an interrupted run"),
                // They affect nobody, and the next leader tries again.
                Err(error) => {
                    let attempt = "remove the temporary files of an interrupted run";
                    warn!("failed to {attempt}: {}", error.chain());
                }
            }
        }
        if let Err(error) = self.sync(&[]).await {
            warn!("{}", chain(&error));
        }
    }

    /// Becomes the leader for as long as this process runs. While a command leads, it is waited for.
    ///
    /// # Errors
    /// [`ReconcileError::Led`] when another daemon leads, [`ReconcileError::Leadership`].
    pub async fn lead(&self) -> Result<(), ReconcileError> {
        loop {
            match self.reconciler.lead().await {
                Err(ReconcileError::Led { by }) => {
                    let leader = match &self.leader_dir {
                        Some(dir) => leader(dir).await.map_err(ReconcileError::Leadership)?,
                        None => None,
                    };
                    if leader.is_none_or(|leader| leader.role == Role::Daemon) {
                        return Err(ReconcileError::Led { by });
                    }
                }
                led => return led,
            }
            self.publisher.heartbeat.beat();
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Leads until `shutdown`, with everything looked at every `resync` at the latest. `on_reconcile` is
    /// shown each reconcile.
    ///
    /// # Errors
    /// As [`lead`](Self::lead).
    pub async fn run(
        &self,
        resync: Duration,
        shutdown: CancellationToken,
        mut on_reconcile: impl FnMut(&Result<Reconcile, ReconcileError>),
    ) -> Result<(), ReconcileError> {
        let Some(led) = shutdown.run_until_cancelled(self.lead()).await else { return Ok(()) };
        led?;
        self.publisher.leader_event("started", Some(self.by.clone()));
        let user = shutdown.run_until_cancelled(self.start_leading()).await;
        if user.is_some() {
            let supervisor = Supervisor::new(Arc::clone(&self.reconciler));
            let supervisor = supervisor.with_resync(resync).woken_by(self.wake());
            let mut synced = self.store.inputs().current().digest;
            let archives = Archives::start(Arc::clone(&self.reconciler));
            supervisor
                .run(shutdown, |reconcile| {
                    on_reconcile(reconcile);
                    let now = self.store.inputs().current().digest;
                    if std::mem::replace(&mut synced, now) != now {
                        self.take_in_catalog();
                    }
                    if let Ok(reconcile) = reconcile {
                        archives.update(reconcile, now);
                    }
                })
                .await;
        }
        self.publisher.leader_event("stopped", None);
        drop(user);
        self.stop_leading().await;
        Ok(())
    }

    /// Takes in what a changed catalog has; the change of the desired state wakes the loop.
    fn take_in_catalog(&self) {
        let (store, by) = (Arc::clone(&self.store), self.by.clone());
        let wake = self.wake();
        tokio::spawn(async move {
            match sync(&store, Vec::new(), by).await {
                Ok(_) => wake.notify_one(),
                Err(error) => warn!("failed to apply the changed catalog: {}", error.chain()),
            }
        });
    }

    /// What wakes the loop of [`run`](Self::run), for event sources of the caller.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Whether the loop of [`run`](Self::run) moves, for a watchdog.
    pub fn heartbeat(&self) -> Arc<Heartbeat> {
        Arc::clone(&self.publisher.heartbeat)
    }
}
