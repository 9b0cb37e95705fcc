//! [`FakeHost`]: a world with a clock, faults, gates and a journal, behind the ports.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::desired::{DesiredState, Generation};
use companion_core::ports::{Hint, Host, PortResult};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::events::Events;
use crate::faults::{EffectPoint, Fault, Faults, Gate, Mode, Stage, injected};
use crate::journal::{Call, Counts, Journal, Outcome, Port};
use crate::world::desired::Specs;
use crate::world::images::Images;
use crate::world::violations::{Violation, ViolationKind};
use crate::world::{Mismatch, World};

/// Maps a recorded specification to the one that a process desires.
type Inputs = Arc<dyn Fn(CompanionSpec) -> CompanionSpec + Send + Sync>;

/// A simulated host. Clones share the same host.
#[derive(Clone, Default)]
pub struct FakeHost {
    pub(crate) shared: Arc<Shared>,
    pub(crate) actor: u8,
    /// The inputs of the process, apart from the host: its catalog and its options.
    inputs: Option<Inputs>,
}

#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) clock: Clock,
    /// Notified after every change, for waiters on a job.
    pub(crate) changed: Notify,
    pub(crate) hints: Notify,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) journal: Journal,
    pub(crate) specs: Specs,
    faults: Faults,
    /// What reads with [`Mode::OldView`] see.
    pub(crate) old_view: Arc<World>,
    gate: Option<Arc<dyn Gate>>,
    points: u64,
    /// The leading actor.
    pub(crate) leader: Option<u8>,
    requires_leader: bool,
    /// The record as last read by each actor.
    pub(crate) loaded: BTreeMap<u8, DesiredState>,
    pub(crate) events: Events,
    /// The image store as last read.
    pub(crate) seen_images: Option<Images>,
    /// The run of each service whose log was last read.
    pub(crate) seen_logs: BTreeMap<CompanionName, u32>,
    /// The digest of each service when its last change was reported.
    pub(crate) seen_services: BTreeMap<CompanionName, u64>,
    /// What [`FakeHost::hint`] reported and no call returned yet.
    pub(crate) hinted: Option<Hint>,
}

impl fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actor = self.actor;
        write!(f, "FakeHost(actor {actor})")
    }
}

impl FakeHost {
    /// Returns a host in the state `world`.
    pub fn new(world: World) -> Self {
        let host = Self::default();
        host.state().world = world;
        host
    }

    /// Returns a handle for `actor`, whose calls have that number in the journal and at gates.
    #[must_use]
    pub fn as_actor(&self, actor: u8) -> Self {
        Self { actor, ..self.clone() }
    }

    /// Returns a handle to the same host for a process with other inputs: it desires what `desire` makes of each recorded
    /// specification.
    #[must_use]
    pub fn deciding_with(
        &self,
        desire: impl Fn(CompanionSpec) -> CompanionSpec + Send + Sync + 'static,
    ) -> Self {
        Self { inputs: Some(Arc::new(desire)), ..self.clone() }
    }

    /// Returns all recorded specifications as this process desires them.
    pub fn specs(&self) -> Specs {
        let specs = self.state().specs.clone();
        match &self.inputs {
            Some(desire) => specs.desired(&**desire),
            None => specs,
        }
    }

    /// Returns the host as the implementation of every port.
    pub fn ports(&self) -> Host {
        let host = Arc::new(self.clone());
        Host {
            units: host.clone(),
            services: host.clone(),
            images: host.clone(),
            hooks: host.clone(),
            containers: host.clone(),
            desired: host.clone(),
            leadership: host,
            traits: self.state().world.conditions.traits,
        }
    }

    /// Returns the time since the host's origin.
    pub fn now(&self) -> Duration {
        self.shared.clock.now()
    }

    /// Returns a copy of the current world.
    pub fn world(&self) -> World {
        self.change(|world, _| world.clone())
    }

    /// Reports that services may have changed ([`ServiceManager::changed`](companion_core::ports::ServiceManager)).
    pub fn hint(&self, hint: Hint) {
        self.state().hinted.get_or_insert(Hint::NONE).merge(hint);
        self.shared.hints.notify_one();
    }

    /// Reads or changes the world outside the ports.
    pub fn change<R>(&self, change: impl FnOnce(&mut World, Duration) -> R) -> R {
        let now = self.now();
        let result = {
            let mut state = self.state();
            state.world.advance(now);
            let result = change(&mut state.world, now);
            state.world.take_effect();
            result
        };
        self.shared.changed.notify_waiters();
        result
    }

    /// Returns a copy of the journal.
    pub fn journal(&self) -> Journal {
        self.state().journal.clone()
    }

    /// Returns the cost of all calls.
    pub fn counts(&self) -> Counts {
        self.state().journal.counts
    }

    /// Returns the violations that the caller could have known, in order.
    pub fn violations(&self) -> Vec<Violation> {
        let state = self.state();
        let all = state.world.violations().iter();
        all.filter(|violation| !violation.unforeseeable).cloned().collect()
    }

    /// Returns all violations.
    pub fn all_violations(&self) -> Vec<Violation> {
        self.state().world.violations().to_vec()
    }

    /// Records an install of `spec`.
    pub fn install(&self, spec: &CompanionSpec) -> Generation {
        let mut state = self.state();
        let id = state.specs.id(spec);
        state.world.intent_exists(&spec.name, id)
    }

    /// Records a removal of `name`.
    pub fn remove(&self, name: &CompanionName) -> Generation {
        self.state().world.intent_removed(name)
    }

    /// Returns the first companion that differs from this process's desired state, and how.
    pub fn mismatch(&self) -> Option<(CompanionName, Mismatch)> {
        let specs = self.specs();
        self.change(|world, _| world.mismatch(&specs))
    }

    /// Adds a fault; earlier ones take precedence.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// Sets what reads with [`Mode::OldView`] see from now on.
    pub fn set_old_view(&self, view: World) {
        self.state().old_view = Arc::new(view);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Returns the number of calls affected by faults.
    pub fn struck(&self) -> u64 {
        self.state().faults.struck()
    }

    /// Sets the gate before and after every write call.
    pub fn set_gate(&self, gate: Arc<dyn Gate>) {
        self.state().gate = Some(gate);
    }

    /// Removes the gate.
    pub fn remove_gate(&self) {
        self.state().gate = None;
    }

    /// Sets whether a write of a non-leading actor is a violation. It is not by default, because a port can be
    /// used without a reconciler.
    pub fn require_leader(&self, required: bool) {
        self.state().requires_leader = required;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call in the journal, and returns its number and its fault, if any.
    fn begin_call(&self, call: &Call) -> (u64, Option<Mode>) {
        let now = self.now();
        let mut state = self.state();
        let number = state.journal.begin(now, self.actor, call.clone());
        (number, state.faults.strike(call))
    }

    /// Does the `work` of a call with its fault before and after, and records the result.
    async fn finish_call<T: Send>(
        &self,
        call: &Call,
        (number, mode): (u64, Option<Mode>),
        work: impl Future<Output = PortResult<T>> + Send,
    ) -> PortResult<T> {
        let result = match mode {
            Some(Mode::Error(kind)) => Err(injected(call, kind)),
            Some(Mode::Hang) => std::future::pending().await,
            Some(Mode::Delay(delay)) => {
                sleep(delay).await;
                work.await
            }
            Some(Mode::ErrorAfterEffect(kind)) => {
                let _concealed = work.await;
                Err(injected(call, kind))
            }
            Some(Mode::HangAfterEffect) => {
                let _concealed = work.await;
                std::future::pending().await
            }
            Some(Mode::OldView) | None => work.await,
        };
        let outcome = match &result {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(error.kind()),
        };
        self.state().journal.end(number, outcome);
        result
    }

    /// Makes a call that does not change the world.
    pub(crate) async fn call<T: Send>(
        &self,
        call: &Call,
        work: impl Future<Output = PortResult<T>> + Send,
    ) -> PortResult<T> {
        self.finish_call(call, self.begin_call(call), work).await
    }

    /// Returns the fault of the entry `name` of `call`, if any.
    pub(crate) fn strike_entry(&self, call: &Call, name: &CompanionName) -> Option<Mode> {
        self.state().faults.strike_entry(call, name)
    }

    /// Answers a read.
    pub(crate) async fn read<T: Send>(
        &self,
        call: Call,
        read: impl FnOnce(&World, Duration) -> PortResult<T> + Send,
    ) -> PortResult<T> {
        self.read_seeing(call, read, |_| ()).await
    }

    /// Answers a read, and records with `saw` what the caller knows; an answer from an older world reduces
    /// that.
    pub(crate) async fn read_seeing<T: Send>(
        &self,
        call: Call,
        read: impl FnOnce(&World, Duration) -> PortResult<T> + Send,
        saw: impl FnOnce(&mut World) + Send,
    ) -> PortResult<T> {
        let (number, mode) = self.begin_call(&call);
        // A read has no effect.
        let mode = match mode {
            Some(Mode::ErrorAfterEffect(kind)) => Some(Mode::Error(kind)),
            Some(Mode::HangAfterEffect) => Some(Mode::Hang),
            mode => mode,
        };
        let answer = async {
            if mode == Some(Mode::OldView) {
                return read(&self.misled(), self.now());
            }
            self.change(|world, now| {
                saw(world);
                read(world, now)
            })
        };
        self.finish_call(&call, (number, mode), answer).await
    }

    /// Returns the older world that a caller sees, which cannot know the differences from now on.
    pub(crate) fn misled(&self) -> Arc<World> {
        let old = Arc::clone(&self.state().old_view);
        self.change(|world, _| world.misled_by(&old));
        old
    }

    /// Executes a write whose effect is immediate and durable.
    pub(crate) async fn act<T: Send>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut World, &mut Counts, Duration) -> PortResult<T> + Send,
    ) -> PortResult<T> {
        self.act_slowly(call, Duration::ZERO, effect, |_| ()).await
    }

    /// Executes a write: `effect` runs after `takes`, `sync` makes it durable.
    pub(crate) async fn act_slowly<T: Send>(
        &self,
        call: Call,
        takes: Duration,
        effect: impl FnOnce(&mut World, &mut Counts, Duration) -> PortResult<T> + Send,
        sync: impl FnOnce(&mut World) + Send,
    ) -> PortResult<T> {
        let work = async {
            if takes > Duration::ZERO {
                sleep(takes).await;
            }
            let result = self.apply(&call, effect);
            if result.is_ok() && call.is_of_a_file() {
                self.pass(&call, Stage::Unsynced).await;
            }
            result
        };
        self.act_with(&call, work, sync).await
    }

    /// Executes a write that is `work`, which `sync` makes durable.
    pub(crate) async fn act_with<T: Send>(
        &self,
        call: &Call,
        work: impl Future<Output = PortResult<T>> + Send,
        sync: impl FnOnce(&mut World) + Send,
    ) -> PortResult<T> {
        let gated = async {
            self.pass(call, Stage::Before).await;
            let result = work.await;
            if result.is_ok() {
                self.change(|world, _| sync(world));
                self.pass(call, Stage::After).await;
            }
            result
        };
        self.call(call, gated).await
    }

    /// Runs `effect` now and counts its cost.
    pub(crate) fn apply<T>(
        &self,
        call: &Call,
        effect: impl FnOnce(&mut World, &mut Counts, Duration) -> PortResult<T>,
    ) -> PortResult<T> {
        let now = self.now();
        let result = {
            let mut state = self.state();
            state.world.advance(now);
            let leads = state.leader == Some(self.actor);
            if state.requires_leader && !leads && call.port != Port::Desired {
                let kind = ViolationKind::EffectWithoutLeader;
                state.world.violate(kind, call.companion.as_ref(), false);
            }
            let State { world, journal, .. } = &mut *state;
            let result = effect(world, &mut journal.counts, now);
            world.take_effect();
            result
        };
        self.shared.changed.notify_waiters();
        result
    }

    /// Passes the gate, if there is one.
    async fn pass(&self, call: &Call, stage: Stage) {
        let (gate, point) = {
            let mut state = self.state();
            let Some(gate) = state.gate.clone() else {
                return;
            };
            let number = state.points;
            state.points += 1;
            let point = EffectPoint { number, actor: self.actor, call: call.clone(), stage };
            (gate, point)
        };
        gate.pass(&point).await;
    }
}
