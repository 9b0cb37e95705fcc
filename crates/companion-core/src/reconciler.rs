//! The reconciler: rounds of observe, plan and execute, until the plan is empty or blocked.
//!
//! Nothing is resumed, everything is inferred again: a crash is a round that ended early. One round
//! holds the host's lock from the reading of the desired state to the last short effect, so that no
//! other writer comes between a decision and its effect.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::DesiredState;
use crate::ports::{Host, HostLock, PortError, PortErrorKind};

mod attempts;
mod events;
mod execute;
mod memory;
mod observe;
#[cfg(feature = "stepwise")]
mod rebase;
mod round;
#[cfg(feature = "stepwise")]
pub mod stepwise;
mod tasks;

pub use events::{Event, EventSink, Silent};
use execute::Advance;
pub use execute::{Execution, Outcome};
use memory::Memory;
use observe::bounded;
use round::Context;
pub use round::{Reconciliation, Round};
use tasks::Tasks;

/// How long the calls of ports may take before a round goes on without them.
///
/// An adapter has a limit for each thing it waits for, and within one call these add up. A reload, a build
/// or pull, and a job are dropped only after the adapters' sum, so only when an adapter breaks its promise. A
/// read or a short effect is given up before that: the next reconcile repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The wait for the host's lock, which others may hold for as long as they work.
    pub lock: Duration,
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
    /// A whole pass, from its first round to its last.
    pub pass: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lock: Duration::from_secs(7 * 60),
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
            pass: Duration::from_secs(45 * 60),
        }
    }
}

/// Why a round could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The right to change the host was not to be had.
    #[error("failed to lock the host")]
    Lock(#[source] PortError),
    /// What is desired is not known, so nothing was done.
    #[error("failed to read the desired state")]
    Desired(#[source] PortError),
}

impl ReconcileError {
    /// What the caller can do.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Lock(error) | Self::Desired(error) => error.kind(),
        }
    }

    /// The message and all its causes in one line, joined by `: `.
    pub fn chain(&self) -> String {
        match self {
            Self::Lock(error) | Self::Desired(error) => format!("{self}: {}", error.chain()),
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
}

impl Reconciler {
    /// A reconciler of `host` with the usual limits, that tells nobody.
    pub fn new(host: Host) -> Self {
        Self::with(host, Limits::default(), Arc::new(Silent), random_jitter())
    }

    /// A reconciler of `host` with the usual limits, that tells `events`.
    pub fn telling(host: Host, events: Arc<dyn EventSink>) -> Self {
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
        let state = Mutex::new(State { memory: Memory::default(), tasks, jitter });
        Self { host, limits, events, origin: Instant::now(), ended, state }
    }

    /// The ports it works through.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Makes one round.
    ///
    /// # Errors
    /// [`ReconcileError`] when the host could not be locked or the desired state not be read;
    /// nothing was done then. All other trouble is in the round itself.
    pub async fn round(&self) -> Result<Round, ReconcileError> {
        self.round_for(None).await
    }

    async fn round_for(
        &self,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Round, ReconcileError> {
        let lock = self.lock().await?;
        self.round_under(lock, names).await
    }

    /// Waits for the host's lock, and has nothing to end yet: this may be dropped at any time.
    pub(crate) async fn lock(&self) -> Result<HostLock, ReconcileError> {
        let lock = self.host.desired.lock();
        bounded(self.limits.lock, lock).await.map_err(ReconcileError::Lock)
    }

    /// The round, once the host is locked.
    pub(crate) async fn round_under(
        &self,
        _lock: HostLock,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Round, ReconcileError> {
        let State { memory, tasks, jitter } = &mut *self.state.lock().await;
        let desired = self.desired().await?;
        tasks.abort(&memory.outdated(&desired));
        let mut context = self.context(jitter);
        memory.catch_up(self.now(), tasks.take_ended(), &mut context);
        let mut round = Round::look(memory, desired, &self.host, &self.limits).await;
        memory.learn(&round);
        if let Some(names) = names {
            round.restrict_to(names);
        }
        if let Some(mut executor) = round.executor() {
            while let Some(advance) = executor.step(memory, &mut context).await {
                if let Advance::Taken { outcome, task } = advance {
                    round.execution.outcomes.push(outcome);
                    task.into_iter().for_each(|task| tasks.spawn(*task));
                }
            }
        }
        Ok(round)
    }

    /// Looks and decides, and does nothing: the plan that [`round`](Self::round) would carry out.
    ///
    /// It takes no lock, so it can be asked for while another process works. A round of this very
    /// reconciler that looks or acts is waited for; one that still waits for the lock is not.
    ///
    /// # Errors
    /// [`ReconcileError::Desired`] when the desired state could not be read.
    pub async fn dry_run(&self) -> Result<Round, ReconcileError> {
        let State { memory, tasks, jitter } = &mut *self.state.lock().await;
        let desired = self.desired().await?;
        let mut context = self.context(jitter);
        memory.catch_up(self.now(), tasks.take_ended(), &mut context);
        Ok(Round::look(memory, desired, &self.host, &self.limits).await)
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

    /// Makes rounds until nothing moves any more, and returns the last one.
    ///
    /// # Errors
    /// As [`round`](Self::round).
    pub async fn reconcile(&self) -> Result<Reconciliation, ReconcileError> {
        self.pass(None).await
    }

    /// The same for `names` alone: what others need is neither begun nor waited for.
    ///
    /// # Errors
    /// As [`round`](Self::round).
    pub async fn reconcile_for(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> Result<Reconciliation, ReconcileError> {
        self.pass(Some(names)).await
    }

    async fn pass(
        &self,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Reconciliation, ReconcileError> {
        let deadline = Instant::now() + self.limits.pass;
        let mut steps = Vec::new();
        let mut rounds = 0;
        loop {
            let mut ended = self.ended.subscribe();
            let last = self.round_for(names).await?;
            rounds += 1;
            let outcomes = last.execution.outcomes.iter().cloned();
            steps.extend(last.plan.steps.iter().cloned().zip(outcomes));
            if last.is_settled() || Instant::now() >= deadline {
                return Ok(Reconciliation { rounds, steps, last });
            }
            // After steps the next look is due at once, unless they go on by themselves.
            let began = last.execution.outcomes.contains(&Outcome::Begun);
            if last.plan.steps.is_empty() || began {
                let pause = last.plan.requeue_after.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
                // Either way the next round looks at everything anew.
                let _ = tokio::time::timeout(pause, ended.changed()).await;
            }
        }
    }

    /// Waits until work that a round began ends, counted from this call and not from its first poll.
    pub fn work_ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.ended.subscribe();
        async move {
            // An error means that the reconciler is gone, and with it all its work.
            let _ = ended.changed().await;
        }
    }

    /// Drops the work under way. Jobs of the service manager go on by themselves.
    pub async fn shut_down(&self) {
        let State { memory, tasks, .. } = &mut *self.state.lock().await;
        tasks.shut_down().await;
        memory.forget_tasks();
    }
}

/// The longest pause between two rounds of a pass that waits for something.
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
