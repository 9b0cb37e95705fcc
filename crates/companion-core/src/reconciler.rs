//! The reconciler: observes, plans and executes until the plan is empty or blocked.
//!
//! Each reconcile derives the plan from the observed state and resumes nothing, so a crash is just a reconcile
//! that ended early. Only the leader of a host reconciles, so no process with other inputs interferes between
//! plan and execution. An intent recorded during a reconcile is applied by the next one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::error_chain::chain;
use crate::memory::Memory;
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::ports::{Acquired, Hint, Host, Lease, PortError, PortErrorKind};

mod events;
mod execute;
mod observe;
pub mod parts;
mod tasks;

pub use companion_model::reconcile::{Convergence, Outcome, Reconcile};
pub use events::{Event, EventSink, NoEvents};
use observe::bounded;
use parts::{Advance, Context, Executor, catch_up, observe_again_and_plan, observe_and_plan};
use tasks::Tasks;

/// The time limits of port calls, and how many of the long ones run concurrently.
///
/// The timeouts of an adapter add up within one call. A reload, a build or pull, and a job are cancelled only
/// after that sum, so only if the adapter violates its contract. A read or a short write is cancelled earlier;
/// the next reconcile repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One read.
    pub read: Duration,
    /// One short write.
    pub act: Duration,
    /// One reload of the service manager.
    pub reload: Duration,
    /// One rendering, with its commit.
    pub hook: Duration,
    /// One build or pull.
    pub image: Duration,
    /// One job of the service manager.
    pub job: Duration,
    /// One converge, from its first reconcile to its last.
    pub converge: Duration,
    /// How many images are built or pulled concurrently, and how many hooks run concurrently; 0 counts as 1. The others
    /// wait for a permit, and the wait does not count towards their limit. The default is the number of cores, and at
    /// least 4: on a small host, up to three calls that hang delay no other one.
    pub max_concurrent: usize,
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
            // Podman: 15 min for a build, 15 min for a pull, 180 s for the sync after each and before both, 20 s for each
            // listing around them: 41 min.
            image: Duration::from_secs(42 * 60),
            // systemd: 120 s for a stop, 150 s for a start, 25 s for the last answer: 295 s.
            job: Duration::from_secs(5 * 60),
            converge: Duration::from_secs(45 * 60),
            max_concurrent: available_parallelism().map_or(4, |cores| cores.get().max(4)),
        }
    }
}

/// Why a reconcile could not start.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Acquiring leadership failed; nothing was changed.
    #[error("failed to acquire the leadership")]
    Leadership(#[source] PortError),
    /// Another process is the leader of this host; nothing was changed.
    #[error("{by} is the leader")]
    Led {
        /// A description of that process.
        by: String,
    },
    /// The desired state is unknown; nothing was changed.
    #[error("failed to read the desired state")]
    Desired(#[source] PortError),
}

impl ReconcileError {
    /// Returns the kind of error.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Leadership(error) | Self::Desired(error) => error.kind(),
            Self::Led { .. } => PortErrorKind::Conflict,
        }
    }

    /// Returns the message and all sources in one line, joined by `: `.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// Reconciles the companions of one host with the desired state.
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
    lease: Option<Box<dyn Lease>>,
}

impl Reconciler {
    /// Returns a reconciler of `host` with default limits and without events.
    pub fn new(host: Host) -> Self {
        Self::with(host, Limits::default(), Arc::new(NoEvents), random_jitter())
    }

    /// Returns a reconciler of `host` with default limits that reports to `events`.
    pub fn with_events(host: Host, events: Arc<dyn EventSink>) -> Self {
        Self::with(host, Limits::default(), events, random_jitter())
    }

    /// Returns a reconciler of `host` with all options.
    ///
    /// `jitter` is the jitter of the back-off delay, see [`backoff::delay`](crate::planner::backoff::delay).
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

    /// Returns its host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Acquires leadership, unless this reconciler is the leader already. It stays the leader until
    /// [`shut_down`](Self::shut_down).
    ///
    /// # Errors
    /// [`ReconcileError::Led`] when another process is the leader, [`ReconcileError::Leadership`].
    pub async fn lead(&self) -> Result<(), ReconcileError> {
        self.lead_in(&mut *self.state.lock().await).await
    }

    async fn lead_in(&self, state: &mut State) -> Result<(), ReconcileError> {
        if state.lease.as_ref().is_some_and(|lease| lease.is_held()) {
            return Ok(());
        }
        // Release a lost lease first, so that it can be acquired again.
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

    /// Reconciles once, as the leader.
    ///
    /// # Errors
    /// [`ReconcileError`] when another process is the leader or the desired state could not be read; nothing
    /// was changed then. All other errors are in the returned reconcile.
    pub async fn reconcile_once(&self) -> Result<Reconcile, ReconcileError> {
        self.reconcile(None, None).await
    }

    /// Reconciles once, as [`reconcile_once`](Self::reconcile_once), but observes only the companions that may have changed
    /// since `last`, the last reconcile: those that `hint` names, those whose work ended, and those that `last` left
    /// unfinished. It observes all if the desired state changed, or `last` is not the last one.
    ///
    /// # Errors
    /// As [`reconcile_once`](Self::reconcile_once).
    pub async fn reconcile_again(
        &self,
        last: Reconcile,
        hint: Hint,
    ) -> Result<Reconcile, ReconcileError> {
        match hint {
            Hint::All => self.reconcile_once().await,
            Hint::Companions(changed) => self.reconcile(None, Some((last, changed))).await,
        }
    }

    async fn reconcile(
        &self,
        only: Option<&BTreeSet<CompanionName>>,
        since: Option<(Reconcile, BTreeSet<CompanionName>)>,
    ) -> Result<Reconcile, ReconcileError> {
        let started = Instant::now();
        let reconcile = self.reconcile_as_leader(only, since).await;
        self.events.on_event(&Event::Reconciled(&reconcile, started.elapsed()));
        reconcile
    }

    /// Executes the steps of `only`, or of all. Observes what may have changed `since` a reconcile, or all.
    async fn reconcile_as_leader(
        &self,
        only: Option<&BTreeSet<CompanionName>>,
        since: Option<(Reconcile, BTreeSet<CompanionName>)>,
    ) -> Result<Reconcile, ReconcileError> {
        let state = &mut *self.state.lock().await;
        self.lead_in(state).await?;
        let State { memory, tasks, jitter, .. } = state;
        let desired = self.desired().await?;
        let mut context = self.context(jitter);
        let (last_at, ended) = (memory.now, tasks.take_ended());
        let since = since.filter(|(last, _)| last.at == last_at).map(|(last, mut changed)| {
            changed.extend(ended.iter().map(|ended| ended.key.0.clone()));
            (last, changed)
        });
        catch_up(memory, self.now(), ended, &mut context);
        let again = since.and_then(|(last, changed)| {
            let names = last.to_observe_again(changed, &desired, memory.now)?;
            Some((last, names))
        });
        let (host, limits) = (&self.host, &self.limits);
        let mut reconcile = match again {
            None => observe_and_plan(memory, desired, host, limits).await,
            Some((last, names)) => observe_again_and_plan(memory, last, &names, host, limits).await,
        };
        memory.learn(&reconcile);
        tasks.abort(&reconcile.plan.superseded);
        if let Some(names) = only {
            reconcile.names = Some(names.clone());
        }
        let mut executor = Executor::new(&reconcile);
        while let Some(advance) = executor.step(memory, &mut context).await {
            if let Advance::Taken { outcome, task } = advance {
                reconcile.outcomes.push(outcome);
                task.into_iter().for_each(|task| tasks.spawn(*task));
            }
        }
        Ok(reconcile)
    }

    /// Dry run: returns the plan that [`reconcile_once`](Self::reconcile_once) would execute.
    ///
    /// It requires no leadership, so it works while another process is the leader. It waits for a running
    /// reconcile of this reconciler.
    ///
    /// # Errors
    /// [`ReconcileError::Desired`] when the desired state could not be read.
    pub async fn dry_run(&self) -> Result<Reconcile, ReconcileError> {
        let State { memory, tasks, jitter, .. } = &mut *self.state.lock().await;
        let desired = self.desired().await?;
        let mut context = self.context(jitter);
        catch_up(memory, self.now(), tasks.take_ended(), &mut context);
        Ok(observe_and_plan(memory, desired, &self.host, &self.limits).await)
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

    /// Reconciles until the state is stable, and returns the last reconcile.
    ///
    /// # Errors
    /// As [`reconcile_once`](Self::reconcile_once).
    pub async fn converge(&self) -> Result<Convergence, ReconcileError> {
        self.converge_for(None).await
    }

    /// Converges `names` only, or all: steps of others are neither started nor awaited.
    ///
    /// # Errors
    /// As [`reconcile_once`](Self::reconcile_once).
    pub async fn converge_for(
        &self,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Convergence, ReconcileError> {
        let deadline = Instant::now() + self.limits.converge;
        let mut steps = Vec::new();
        let mut reconciles = 0;
        loop {
            let mut ended = self.ended.subscribe();
            let last = self.reconcile(names, None).await?;
            reconciles += 1;
            let outcomes = last.outcomes.iter().cloned();
            steps.extend(last.steps().into_iter().zip(outcomes));
            if last.is_settled() || Instant::now() >= deadline {
                return Ok(Convergence { reconciles, steps, last });
            }
            // After steps, reconcile again immediately, unless they are still running.
            let began = last.outcomes.contains(&Outcome::Started);
            if last.steps().is_empty() || began {
                let pause = last.requeue_after().unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
                // Either way the next reconcile observes the whole state.
                let _ = tokio::time::timeout(pause, ended.changed()).await;
            }
        }
    }

    /// Waits for the end of running work, counted from this call and not from its first poll.
    pub fn work_ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.ended.subscribe();
        async move {
            // An error means that the reconciler and all its work were dropped.
            let _ = ended.changed().await;
        }
    }

    /// Cancels running work, then releases leadership. Jobs of the service manager continue.
    pub async fn shut_down(&self) {
        let State { memory, tasks, lease, .. } = &mut *self.state.lock().await;
        tasks.shut_down().await;
        memory.history.running.clear();
        *lease = None;
    }
}

/// The maximum pause between two reconciles while converging.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A source of jitter based on the random seeds of the standard library's maps.
fn random_jitter() -> Jitter {
    use std::hash::{BuildHasher, RandomState};
    // Each state has separate keys.
    Box::new(|| {
        let [low, high, ..] = RandomState::new().hash_one(0).to_le_bytes();
        u16::from_le_bytes([low, high])
    })
}
