//! One fake host that is set to any world, and on which any part of a round or task is run at once.
//!
//! It runs the reconciler's own parts and the fake's own ports, and knows nothing of what they do.

#![expect(clippy::panic, reason = "a search on a host that does not answer has failed")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Waiting, Poll, Waker};
use std::time::Duration;

use adapter_fake::world::desired::Specs;
use adapter_fake::{Counts, EffectPoint, FakeHost, Fault, Gate, Stage as Point, Violation, World};
use async_trait::async_trait;
use companion_core::model::Monotonic;
use companion_core::ports::{Host, HostLock};
use companion_core::reconciler::stepwise::{Advance, Context, End, Ended, Task};
use companion_core::reconciler::{Limits, Outcome, Round, Silent};
use tokio::runtime::Runtime;

use super::scene::{ORIGIN, Scene};
use super::state::{Actor, Done};

/// A host for as many states as are looked at, one after the other.
pub struct Theatre {
    host: FakeHost,
    ports: Host,
    limits: Limits,
    runtime: Runtime,
}

/// What became of a part that was run.
#[derive(Debug)]
pub struct Came<T> {
    /// Its result; nothing if it waits for something, or was stopped where it was.
    pub result: Option<T>,
    /// The host after it.
    pub world: World,
    /// What it did that nobody should do.
    pub violations: Vec<Violation>,
    /// What it did.
    pub counts: Counts,
}

/// Stops every effect on a file after it was had and before it is synced.
struct BeforeSync;

#[async_trait]
impl Gate for BeforeSync {
    async fn pass(&self, point: &EffectPoint) {
        if point.stage == Point::Unsynced {
            std::future::pending::<()>().await;
        }
    }
}

impl Theatre {
    /// A host on which all wishes of `scene` can be made.
    pub fn new(scene: &Scene) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap_or_else(|error| panic!("{error}"));
        let host = FakeHost::new(World::new());
        runtime.block_on(async {
            let _origin = host.now();
            tokio::time::advance(ORIGIN).await;
        });
        for at in 0..scene.names.len() {
            for version in 0..2 {
                host.install(scene.spec(at, version));
            }
        }
        host.require_lock(true);
        Self { ports: host.ports(), host, limits: Limits::default(), runtime }
    }

    /// The specifications that a world's wishes refer to.
    pub fn specs(&self) -> Specs {
        self.host.specs()
    }

    /// What `change` makes of `world`, done to the fake host itself.
    pub fn changed(&self, world: &World, change: impl FnOnce(&FakeHost)) -> World {
        self.set(world);
        let _entered = self.runtime.enter();
        change(&self.host);
        self.host.world()
    }

    /// Takes the lock of `world` away from whoever holds it, as its death does.
    pub fn unlocked(&self, world: &World) -> World {
        self.set(world);
        drop(self.lock());
        let _entered = self.runtime.enter();
        self.host.world()
    }

    /// Sets the host to `world`, and returns what was counted on it so far. Outside the runtime the
    /// host's clock would be the real one.
    fn set(&self, world: &World) -> Counts {
        let _entered = self.runtime.enter();
        self.host.change(|now, _| now.clone_from(world));
        self.host.counts()
    }

    fn lock(&self) -> Option<HostLock> {
        self.at_once(self.ports.desired.lock()).and_then(Result::ok)
    }

    /// Polls `future` once.
    fn at_once<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let _entered = self.runtime.enter();
        let mut future = pin!(future);
        match future.as_mut().poll(&mut Waiting::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn came<T>(&self, result: Option<T>, before: Counts) -> Came<T> {
        let _entered = self.runtime.enter();
        self.host.clear_faults();
        let violations = self.host.violations();
        let counts = self.host.counts().since(before);
        let world = self.host.change(|world, _| std::mem::take(world));
        Came { result, world, violations, counts }
    }

    /// Begins a round of `actor`: it takes the lock, looks, decides, and learns.
    ///
    /// The round has its plan in the actor's hands, or none when there is nothing to do; then the
    /// lock is free again. A round that could not begin is nothing.
    pub fn begin_round(
        &self,
        world: &World,
        actor: &mut Actor,
        fault: Option<Fault>,
    ) -> Came<Option<Round>> {
        let before = self.set(world);
        let hides = actor.old_view.take();
        self.hide(hides.as_deref());
        fault.into_iter().for_each(|fault| self.host.inject(fault));
        let round = self.runtime.block_on(async {
            let lock = self.ports.desired.lock().await.ok()?;
            let round = self.look(actor).await;
            if actor.acting.is_some() {
                // The lock stays held; the guard of this very moment does not.
                Some((round?, Some(lock)))
            } else {
                drop(lock);
                Some((round?, None))
            }
        });
        let (round, lock) = round.map_or((None, None), |(round, lock)| (Some(round), lock));
        let came = self.came(Some(round), before);
        drop(lock);
        came
    }

    async fn look(&self, actor: &mut Actor) -> Option<Round> {
        let desired = self.ports.desired.load().await.ok()?;
        let ended = std::mem::take(&mut actor.ended).into_iter().map(|Done(ended)| ended).collect();
        for key in actor.memory.outdated(&desired) {
            // It is dropped before it can do anything more, and told of at the next look.
            if actor.tasks.remove(&key).is_some() {
                actor.ended.insert(Done(Ended { key, end: End::Dropped, ago: Duration::ZERO }));
            }
        }
        let mut jitter = || 0;
        let mut context = self.context(&mut jitter);
        actor.memory.catch_up(Monotonic::from_origin(ORIGIN), ended, &mut context);
        let mut round = Round::look(&actor.memory, desired, &self.ports, &self.limits).await;
        actor.memory.learn(&round);
        if let Some(names) = &actor.names {
            round.restrict_to(names);
        }
        actor.acting = round.executor().filter(|executor| executor.steps().next().is_some());
        Some(round)
    }

    /// Has reads answered from `view`.
    fn hide(&self, view: Option<&World>) {
        use adapter_fake::{Method, Mode, Port};
        let Some(view) = view else { return };
        for (port, method) in [
            (Port::Units, Method::List),
            (Port::Units, Method::Observe),
            (Port::Services, Method::Observe),
            (Port::Images, Method::Observe),
            (Port::Hooks, Method::Observe),
            (Port::Containers, Method::Observe),
        ] {
            self.host.inject(Fault::always(port, method, Mode::OldView(Box::new(view.clone()))));
        }
    }

    fn context<'c>(&'c self, jitter: &'c mut (dyn FnMut() -> u16 + Send)) -> Context<'c> {
        Context { host: &self.ports, limits: &self.limits, events: &Silent, jitter }
    }

    /// Goes on with the plan in the actor's hands by one call of a port; says what became of the
    /// step, if that is decided. After the last step the lock is free again.
    ///
    /// With `unsynced` an effect on a file is stopped before it is synced.
    pub fn step(
        &self,
        world: &World,
        actor: &mut Actor,
        fault: Option<Fault>,
        unsynced: bool,
    ) -> Came<Option<Outcome>> {
        let before = self.set(world);
        let mut lock = self.lock();
        fault.into_iter().for_each(|fault| self.host.inject(fault));
        self.gate(unsynced);
        let mut jitter = || 0;
        let Some(mut executor) = actor.acting.take() else {
            return self.came(None, before);
        };
        let advance = {
            let mut context = self.context(&mut jitter);
            self.at_once(executor.step(&mut actor.memory, &mut context))
        };
        self.host.remove_gate();
        let outcome = advance.map(|advance| match advance {
            Some(Advance::Taken { outcome, task }) => {
                let task = task.map(|task| (task.key().clone(), *task));
                actor.tasks.extend(task);
                Some(outcome)
            }
            Some(Advance::Ready) | None => None,
        });
        if executor.steps().next().is_some() {
            actor.acting = Some(executor);
        } else {
            lock = None;
        }
        let came = self.came(outcome, before);
        drop(lock);
        came
    }

    /// Goes on with a task of `actor`: it renders, builds, pulls, prunes or waits; or it takes the
    /// lock, checks, commits and frees it.
    pub fn task(
        &self,
        world: &World,
        actor: &mut Actor,
        task: Task,
        fault: Option<Fault>,
        unsynced: bool,
    ) -> Came<()> {
        let before = self.set(world);
        fault.into_iter().for_each(|fault| self.host.inject(fault));
        self.gate(unsynced);
        let mut task = task;
        let mut held = None;
        let mut end = None;
        let mut result = Some(());
        loop {
            let Some(ended) = self.at_once(task.step(&self.ports, &mut held)) else {
                result = None;
                break;
            };
            end = ended;
            if end.is_some() || held.is_none() {
                break;
            }
        }
        self.host.remove_gate();
        drop(held);
        let key = task.key().clone();
        if result.is_some() {
            actor.tasks.remove(&key);
            match end {
                Some(end) => {
                    actor.ended.insert(Done(Ended { key, end, ago: Duration::ZERO }));
                }
                None => {
                    actor.tasks.insert(key, task);
                }
            }
        }
        self.came(result, before)
    }

    fn gate(&self, unsynced: bool) {
        if unsynced {
            self.host.set_gate(Arc::new(BeforeSync));
        }
    }
}
