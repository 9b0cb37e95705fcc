//! The reconciler: reconciles of observe, plan and execute, until the plan is empty or blocked.
//!
//! Nothing is resumed, everything is inferred again: a crash is a reconcile that ended early. Only the
//! leader of a host makes reconciles, so nobody with other inputs comes between a decision and its effect.
//! An intent that is recorded during a reconcile is carried out by the next one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::ports::{Acquired, Host, Lease, PortError, PortErrorKind};

mod attempts;
mod events;
mod execute;
mod memory;
mod observe;
#[cfg(feature = "stepwise")]
mod rebase;
mod reconcile;
#[cfg(feature = "stepwise")]
pub mod stepwise;
mod tasks;

pub use events::{Event, EventSink, NoEvents};
use execute::Advance;
pub use execute::{Execution, Outcome};
use memory::Memory;
use observe::bounded;
use reconcile::Context;
pub use reconcile::{Convergence, Reconcile};
use tasks::Tasks;

/// How long the calls of ports may take before a reconcile goes on without them.
///
/// An adapter has a limit for each thing it waits for, and within one call these add up. A reload, a build
/// or pull, and a job are dropped only after the adapters' sum, so only when an adapter breaks its promise. A
/// read or a short effect is given up before that: the next reconcile repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One read.
    pub read: Duration,
    /// One short effect.
    pub act: Duration,
    /// One reload of the service manager.
    pub reload: Duration,
    /// One rendering, with its commit.
    pub hook: Duration,
    /// One build or pull.
    pub image: Duration,
    /// One job of the service manager.
    pub job: Duration,
    /// A whole pass, from its first reconcile to its last.
    pub converge: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(30),
            act: Duration::from_secs(60),
            // systemd: 30 s to list the unit directory, 32 s for the generator, 25 s for a connection, 120 s for the
            // reload itself: 207 s.
            reload: Duration::from_secs(210),
            hook: Duration::from_secs(6 * 60),
            // Podman: 15 min for a build, 15 min for a pull, 20 s for each listing around them.
            image: Duration::from_secs(35 * 60),
            // systemd: 120 s for a stop, 150 s for a start, 25 s for the last answer: 295 s.
            job: Duration::from_secs(5 * 60),
            converge: Duration::from_secs(45 * 60),
        }
    }
}

/// Why a reconcile could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Whether another process leads could not be found out, so nothing was done.
    #[error("failed to acquire the leadership")]
    Leadership(#[source] PortError),
    /// Another process decides about this host, so nothing was done.
    #[error("{by} leads")]
    Led {
        /// Which, for people.
        by: String,
    },
    /// What is desired is not known, so nothing was done.
    #[error("failed to read the desired state")]
    Desired(#[source] PortError),
}

impl ReconcileError {
    /// What the caller can do.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Leadership(error) | Self::Desired(error) => error.kind(),
            Self::Led { .. } => PortErrorKind::Conflict,
        }
    }

    /// The message and all its causes in one line, joined by `: `.
    pub fn chain(&self) -> String {
        match self {
            Self::Leadership(error) | Self::Desired(error) => format!("{self}: {}", error.chain()),
            Self::Led { .. } => self.to_string(),
        }
    }
}

/// Keeps the companions of one host true to what is desired.
pub struct Reconciler {
    host: Host,
    limits: Limits,
    events: Arc<dyn EventSink>,
    origin: Instant,
    ended: Arc<watch::Sender<u64>>,
    state: Mutex<State>,
}

type Jitter = Box<dyn FnMut() -> u16 + Send>;

struct State {
    memory: Memory,
    tasks: Tasks,
    jitter: Jitter,
    lease: Option<Lease>,
}

impl Reconciler {
    /// A reconciler of `host` with the usual limits, that tells nobody.
    pub fn new(host: Host) -> Self {
        Self::with(host, Limits::default(), Arc::new(NoEvents), random_jitter())
    }

    /// A reconciler of `host` with the usual limits, that tells `events`.
    pub fn with_events(host: Host, events: Arc<dyn EventSink>) -> Self {
        Self::with(host, Limits::default(), events, random_jitter())
    }

    /// A reconciler of `host` with all that can be chosen.
    ///
    /// `jitter` gives the share of a back-off's twentieth that is left off, see
    /// [`backoff::delay`](crate::planner::backoff::delay).
    pub fn with(
        host: Host,
        limits: Limits,
        events: Arc<dyn EventSink>,
        jitter: Box<dyn FnMut() -> u16 + Send>,
    ) -> Self {
        let ended = Arc::new(watch::Sender::new(0));
        let tasks = Tasks::new(host.clone(), limits.clone(), Arc::clone(&ended));
        let state = Mutex::new(State { memory: Memory::default(), tasks, jitter, lease: None });
        Self { host, limits, events, origin: Instant::now(), ended, state }
    }

    /// The ports it works through.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Becomes the leader of the host, unless this reconciler leads already. It leads until
    /// [`shut_down`](Self::shut_down).
    ///
    /// # Errors
    /// [`ReconcileError::Led`] when another process leads, [`ReconcileError::Leadership`].
    pub async fn lead(&self) -> Result<(), ReconcileError> {
        self.lead_in(&mut *self.state.lock().await).await
    }

    async fn lead_in(&self, state: &mut State) -> Result<(), ReconcileError> {
        if state.lease.as_ref().is_some_and(Lease::is_held) {
            return Ok(());
        }
        // One that was lost is given up first: what it was for may be taken again.
        state.lease = None;
        let acquired = bounded(self.limits.read, self.host.leadership.acquire()).await;
        match acquired.map_err(ReconcileError::Leadership)? {
            Acquired::Leading(lease) => {
                state.lease = Some(lease);
                Ok(())
            }
            Acquired::Led { by } => Err(ReconcileError::Led { by }),
        }
    }

    /// Makes one reconcile, as the leader.
    ///
    /// # Errors
    /// [`ReconcileError`] when another process leads or the desired state could not be read; nothing
    /// was done then. All other trouble is in the reconcile itself.
    pub async fn reconcile_once(&self) -> Result<Reconcile, ReconcileError> {
        self.reconcile_for(None).await
    }

    async fn reconcile_for(
        &self,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Reconcile, ReconcileError> {
        let reconcile = self.reconcile_as_leader(names).await;
        self.events.on_event(&Event::Reconciled(&reconcile));
        reconcile
    }

    async fn reconcile_as_leader(
        &self,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Reconcile, ReconcileError> {
        let state = &mut *self.state.lock().await;
        self.lead_in(state).await?;
        let State { memory, tasks, jitter, .. } = state;
        let desired = self.desired().await?;
        tasks.abort(&memory.outdated(&desired));
        let mut context = self.context(jitter);
        memory.catch_up(self.now(), tasks.take_ended(), &mut context);
        let mut reconcile = Reconcile::look(memory, desired, &self.host, &self.limits).await;
        memory.learn(&reconcile);
        tasks.abort(&reconcile.plan.superseded);
        if let Some(names) = names {
            reconcile.restrict_to(names);
        }
        let mut executor = reconcile.executor();
        while let Some(advance) = executor.step(memory, &mut context).await {
            if let Advance::Taken { outcome, task } = advance {
                reconcile.execution.outcomes.push(outcome);
                task.into_iter().for_each(|task| tasks.spawn(*task));
            }
        }
        Ok(reconcile)
    }

    /// Looks and decides, and does nothing: the plan that [`reconcile`](Self::reconcile) would carry out.
    ///
    /// It needs no leadership, so it can be asked for while another process leads. A reconcile of this very
    /// reconciler is waited for.
    ///
    /// # Errors
    /// [`ReconcileError::Desired`] when the desired state could not be read.
    pub async fn dry_run(&self) -> Result<Reconcile, ReconcileError> {
        let State { memory, tasks, jitter, .. } = &mut *self.state.lock().await;
        let desired = self.desired().await?;
        let mut context = self.context(jitter);
        memory.catch_up(self.now(), tasks.take_ended(), &mut context);
        Ok(Reconcile::look(memory, desired, &self.host, &self.limits).await)
    }

    async fn desired(&self) -> Result<DesiredState, ReconcileError> {
        let load = self.host.desired.load();
        bounded(self.limits.read, load).await.map_err(ReconcileError::Desired)
    }

    fn now(&self) -> Monotonic {
        Monotonic::from_origin(self.origin.elapsed())
    }

    fn context<'c>(&'c self, jitter: &'c mut Jitter) -> Context<'c> {
        Context { host: &self.host, limits: &self.limits, events: &*self.events, jitter }
    }

    /// Makes reconciles until nothing moves any more, and returns the last one.
    ///
    /// # Errors
    /// As [`reconcile`](Self::reconcile).
    pub async fn converge(&self) -> Result<Convergence, ReconcileError> {
        self.converge_within(None).await
    }

    /// The same for `names` alone: what others need is neither begun nor waited for.
    ///
    /// # Errors
    /// As [`reconcile`](Self::reconcile).
    pub async fn converge_for(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> Result<Convergence, ReconcileError> {
        self.converge_within(Some(names)).await
    }

    async fn converge_within(
        &self,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Convergence, ReconcileError> {
        let deadline = Instant::now() + self.limits.converge;
        let mut steps = Vec::new();
        let mut reconciles = 0;
        loop {
            let mut ended = self.ended.subscribe();
            let last = self.reconcile_for(names).await?;
            reconciles += 1;
            let outcomes = last.execution.outcomes.iter().cloned();
            steps.extend(last.steps().into_iter().zip(outcomes));
            if last.is_settled() || Instant::now() >= deadline {
                return Ok(Convergence { reconciles, steps, last });
            }
            // After steps the next look is due at once, unless they go on by themselves.
            let began = last.execution.outcomes.contains(&Outcome::Begun);
            if last.steps().is_empty() || began {
                let pause = last.plan.requeue_after.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
                // Either way the next reconcile looks at everything anew.
                let _ = tokio::time::timeout(pause, ended.changed()).await;
            }
        }
    }

    /// Waits until work that a reconcile began ends, counted from this call and not from its first poll.
    pub fn work_ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.ended.subscribe();
        async move {
            // An error means that the reconciler is gone, and with it all its work.
            let _ = ended.changed().await;
        }
    }

    /// Drops the work under way, and then the leadership. Jobs of the service manager go on by
    /// themselves.
    pub async fn shut_down(&self) {
        let State { memory, tasks, lease, .. } = &mut *self.state.lock().await;
        tasks.shut_down().await;
        memory.forget_tasks();
        *lease = None;
    }
}

/// The longest pause between two reconciles of a pass that waits for something.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A source of jitter from the randomness that the standard library seeds its maps with.
fn random_jitter() -> Jitter {
    use std::hash::{BuildHasher, RandomState};
    let state = RandomState::new();
    let mut drawn = 0_u64;
    Box::new(move || {
        drawn = drawn.wrapping_add(1);
        let [low, high, ..] = state.hash_one(drawn).to_le_bytes();
        u16::from_le_bytes([low, high])
    })
}
