//! The reconciler: rounds of observe, plan and execute, until the plan is empty or blocked.
//!
//! Nothing is resumed, everything is inferred again: a crash is a round that ended early. One round
//! holds the host's lock from the reading of the desired state to the last short effect, so that no
//! other writer comes between a decision and its effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::check::{Violation, check};
use crate::model::Monotonic;
use crate::model::companion::CompanionName;
use crate::model::desired::{DesiredState, Generation};
use crate::model::observed::{History, ObservedState, VerifiedRun, Work};
use crate::model::unit::UnitFileState;
use crate::plan::{Plan, Step};
use crate::planner::plan;
use crate::ports::{Host, PortError, PortErrorKind};

mod attempts;
mod execute;
mod observe;
mod tasks;

use attempts::{Attempts, random_jitter};
pub use execute::{Execution, Outcome};
use tasks::Tasks;

/// How long the calls of ports may take before a round goes on without them.
///
/// The adapters have limits of their own; these only hold when an adapter breaks its promise.
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
    /// A whole pass, from its first round to its last.
    pub pass: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(30),
            act: Duration::from_secs(60),
            reload: Duration::from_secs(180),
            hook: Duration::from_secs(6 * 60),
            image: Duration::from_secs(35 * 60),
            job: Duration::from_secs(5 * 60),
            pass: Duration::from_secs(45 * 60),
        }
    }
}

/// What happens, told while it happens.
#[derive(Debug)]
pub enum Event<'e> {
    /// A step is about to be taken.
    StepBegun(&'e Step),
    /// A step was taken, or goes on by itself.
    StepEnded(&'e Step, &'e Outcome),
    /// Work that an earlier round began has ended, with its error if it failed.
    WorkEnded(&'e CompanionName, Work, Option<&'e str>),
}

/// Who is told what happens. It must return at once.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn on_event(&self, event: &Event<'_>);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl EventSink for Silent {
    fn on_event(&self, _event: &Event<'_>) {}
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

/// One round: what was wanted, seen, decided, and what became of it.
#[derive(Debug)]
#[must_use = "a round that nobody reads hides its failures"]
pub struct Round {
    /// What was wanted.
    pub desired: DesiredState,
    /// What was seen.
    pub observed: ObservedState,
    /// What was decided.
    pub plan: Plan,
    /// The rules of [`check`] that the plan breaks: a mistake of ours, for which nothing was executed.
    pub violations: Vec<Violation>,
    /// What became of it; empty for a round that only looked.
    pub execution: Execution,
    /// When, on the reconciler's clock.
    pub at: Monotonic,
}

impl Round {
    /// Whether no further round is worth making before the next tick or event: there was nothing to
    /// do, and nothing that passes by itself within moments is waited for. A plan that breaks a rule
    /// is not carried out, and so nothing comes of making it again.
    pub fn is_settled(&self) -> bool {
        if !self.violations.is_empty() {
            return true;
        }
        self.plan.steps.is_empty()
            && !self.plan.blocked.iter().any(|blocked| blocked.waiting_on.is_passing())
    }
}

/// A pass: the rounds from a first look until nothing moved any more.
#[derive(Debug)]
#[must_use = "only the last round says whether the companions run"]
pub struct Reconciliation {
    /// The number of rounds.
    pub rounds: usize,
    /// The steps that were taken, each with what became of it.
    pub steps: Vec<(Step, Outcome)>,
    /// The last round.
    pub last: Round,
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

struct State {
    attempts: Attempts,
    verified: BTreeMap<CompanionName, VerifiedRun>,
    gone: BTreeMap<CompanionName, Generation>,
    tasks: Tasks,
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
    /// `jitter` gives the share of a back-off's tenth that is left off, see
    /// [`backoff::delay`](crate::planner::backoff::delay).
    pub fn with(
        host: Host,
        limits: Limits,
        events: Arc<dyn EventSink>,
        jitter: Box<dyn FnMut() -> u16 + Send>,
    ) -> Self {
        let ended = Arc::new(watch::Sender::new(0));
        let tasks = Tasks::new(host.clone(), limits.clone(), Arc::clone(&ended));
        let attempts = Attempts::new(jitter);
        let state =
            Mutex::new(State { attempts, verified: BTreeMap::new(), gone: BTreeMap::new(), tasks });
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
        let mut state = self.state.lock().await;
        let _lock = self.host.desired.lock().await.map_err(ReconcileError::Lock)?;
        let desired = self.host.desired.load().await.map_err(ReconcileError::Desired)?;
        state.tasks.drop_outdated(&desired);
        let mut round = self.look(&mut state, desired).await;
        let State { attempts, verified, gone, tasks } = &mut *state;
        attempts.heal(&round.plan);
        remember_gone(gone, &round.desired, &round.plan);
        remember_verified(verified, &round.observed);
        if let Some(names) = names {
            round.plan = round.plan.restrict_to(names);
        }
        for violation in &round.violations {
            error!("invariant violation: the plan breaks {violation}; nothing of it is done");
        }
        if round.violations.is_empty() {
            let (host, limits, events) = (&self.host, &self.limits, &*self.events);
            let begun = BTreeSet::new();
            let executor = execute::Executor { host, limits, tasks, attempts, events, begun };
            round.execution = executor.execute(&round.plan).await;
        }
        Ok(round)
    }

    /// Looks and decides, and does nothing: the plan that [`round`](Self::round) would carry out.
    ///
    /// It takes no lock, so it can be asked for while another process works.
    ///
    /// # Errors
    /// [`ReconcileError::Desired`] when the desired state could not be read.
    pub async fn dry_run(&self) -> Result<Round, ReconcileError> {
        let mut state = self.state.lock().await;
        let desired = self.host.desired.load().await.map_err(ReconcileError::Desired)?;
        Ok(self.look(&mut state, desired).await)
    }

    async fn look(&self, state: &mut State, desired: DesiredState) -> Round {
        let now = Monotonic::from_origin(self.origin.elapsed());
        state.attempts.now = now;
        for ended in state.tasks.take_ended() {
            let error = ended.result.as_ref().err().map(PortError::chain);
            let event = Event::WorkEnded(&ended.companion, ended.work, error.as_deref());
            self.events.on_event(&event);
            state.attempts.ended(&ended);
        }
        let history = History {
            failures: state.attempts.failures.clone(),
            running: state.tasks.running(),
            verified: state.verified.clone(),
            gone: state.gone.clone(),
        };
        let observed = observe::observe(&self.host, &desired, &history, &self.limits).await;
        if let Some(error) = &observed.listing_error {
            warn!("units that nobody wished for cannot be looked for: {error}");
        }
        let plan = plan(&desired, &observed, now);
        debug!(steps = plan.steps.len(), blocked = plan.blocked.len(), "planned");
        let violations = check(&plan, &desired, &observed);
        let execution = Execution::default();
        Round { desired, observed, plan, violations, execution, at: now }
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
        self.state.lock().await.tasks.shut_down().await;
    }
}

/// The longest pause between two rounds of a pass that waits for something.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Notes the runs that were just seen beneath a true unit file, and forgets those of companions that
/// are not there any more.
fn remember_verified(
    verified: &mut BTreeMap<CompanionName, VerifiedRun>,
    observed: &ObservedState,
) {
    verified.retain(|name, _| observed.companions.contains_key(name));
    for (name, seen) in &observed.companions {
        let (Some(file), Some(service)) = (seen.unit.known(), seen.service.known()) else {
            continue;
        };
        let UnitFileState::Current { revision } = file.state else { continue };
        let carried = [service.loaded, service.running] == [Some(revision), Some(revision)];
        if let Some(invocation) = service.invocation.clone().filter(|_| carried) {
            verified.insert(name.clone(), VerifiedRun { revision, invocation });
        }
    }
}

/// Notes the removals of which nothing is left, and forgets those whose companion is wanted again.
fn remember_gone(
    gone: &mut BTreeMap<CompanionName, Generation>,
    desired: &DesiredState,
    plan: &Plan,
) {
    gone.retain(|name, _| desired.removed.contains_key(name));
    for (name, removed) in &desired.removed {
        if plan.steps(name).next().is_none() && plan.blocked(name).next().is_none() {
            gone.insert(name.clone(), removed.generation);
        } else {
            gone.remove(name);
        }
    }
}
