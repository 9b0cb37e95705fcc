//! One fake host that is set to any world, and on which any part of a reconcile or task is run at once.
//!
//! It runs the reconciler's own parts and the fake's own ports, and knows nothing of what they do.

#![expect(clippy::panic, reason = "a search on a host that does not answer has failed")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Waiting, Poll, Waker};
use std::time::Duration;

use adapter_fake::world::desired::Specs;
use adapter_fake::{
    Counts, EffectPoint, FakeHost, Fault, Gate, Inputs, Stage as Point, Violation, World,
};
use async_trait::async_trait;
use companion_core::model::Monotonic;
use companion_core::ports::{Acquired, Host, Leadership as _, Lease};
use companion_core::reconciler::stepwise::{Advance, Context, Ended, Task};
use companion_core::reconciler::{Limits, NoEvents, Outcome, Reconcile};
use tokio::runtime::Runtime;

use super::scene::{ORIGIN, Scene, other_version};
use super::state::{Done, Leader};

/// A host for as many states as are looked at, one after the other.
pub struct Simulation {
    /// The host as a process uses it that desires what is recorded, and as one does that desires the
    /// other version of it.
    hosts: [FakeHost; 2],
    ports: [Host; 2],
    limits: Limits,
    runtime: Runtime,
    _lease: Lease,
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

impl Simulation {
    /// A host on which all intents of `scene` can be recorded, and that one process leads.
    pub fn new(scene: &Scene) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap_or_else(|error| panic!("{error}"));
        let host = FakeHost::new(World::new());
        let lease = runtime.block_on(async {
            let _origin = host.now();
            tokio::time::advance(ORIGIN).await;
            match host.acquire().await {
                Ok(Acquired::Leading(lease)) => lease,
                other => panic!("nobody else leads: {other:?}"),
            }
        });
        for at in 0..scene.names.len() {
            for version in 0..2 {
                host.install(scene.spec(at, version));
            }
        }
        host.require_leader(true);
        let hosts = [host.clone(), host.deciding_with(Inputs::new(other_version))];
        let ports = [hosts[0].ports(), hosts[1].ports()];
        Self { hosts, ports, limits: Limits::default(), runtime, _lease: lease }
    }

    fn host(&self) -> &FakeHost {
        &self.hosts[0]
    }

    /// The specifications that a world's wishes refer to, as a leader with each inputs desires them.
    pub fn specs(&self) -> [Specs; 2] {
        [self.hosts[0].specs(), self.hosts[1].specs()]
    }

    /// What `change` makes of `world`, done to the fake host itself.
    pub fn changed(&self, world: &World, change: impl FnOnce(&FakeHost)) -> World {
        self.set(world);
        let _entered = self.runtime.enter();
        change(self.host());
        self.host().world()
    }

    /// Sets the host to `world`, and returns what was counted on it so far. Outside the runtime the
    /// host's clock would be the real one.
    fn set(&self, world: &World) -> Counts {
        let _entered = self.runtime.enter();
        self.host().change(|now, _| now.clone_from(world));
        self.host().counts()
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
        self.host().clear_faults();
        let violations = self.host().violations();
        let counts = self.host().counts().since(before);
        let world = self.host().change(|world, _| std::mem::take(world));
        Came { result, world, violations, counts }
    }

    /// Begins a reconcile of `leader`: it reads the record, looks, decides, and learns.
    ///
    /// The reconcile has its plan in the leader's hands, or none when there is nothing to do. A reconcile that
    /// could not begin is nothing.
    pub fn begin_round(
        &self,
        world: &World,
        leader: &mut Leader,
        fault: Option<Fault>,
    ) -> Came<Option<Reconcile>> {
        let before = self.set(world);
        let hides = leader.old_view.take();
        self.hide(hides.as_deref());
        fault.into_iter().for_each(|fault| self.host().inject(fault));
        let reconcile = self.runtime.block_on(self.look(leader));
        self.came(Some(reconcile), before)
    }

    async fn look(&self, leader: &mut Leader) -> Option<Reconcile> {
        let ports = &self.ports[leader.inputs];
        let desired = ports.desired.load().await.ok()?;
        let ended =
            std::mem::take(&mut leader.ended).into_iter().map(|Done(ended)| ended).collect();
        leader.drop_tasks(&leader.memory.outdated(&desired));
        let mut jitter = || 0;
        let mut context = self.context(ports, &mut jitter);
        leader.memory.catch_up(Monotonic::from_origin(ORIGIN), ended, &mut context);
        let reconcile = Reconcile::look(&leader.memory, desired, ports, &self.limits).await;
        leader.memory.learn(&reconcile);
        leader.drop_tasks(&reconcile.plan.superseded);
        leader.acting = Some(reconcile.executor()).filter(|it| it.steps().next().is_some());
        Some(reconcile)
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
            self.host().inject(Fault::always(port, method, Mode::OldView(Box::new(view.clone()))));
        }
    }

    fn context<'c>(
        &'c self,
        host: &'c Host,
        jitter: &'c mut (dyn FnMut() -> u16 + Send),
    ) -> Context<'c> {
        Context { host, limits: &self.limits, events: &NoEvents, jitter }
    }

    /// Goes on with the plan in the leader's hands by one call of a port; says what became of the
    /// step, if that is decided.
    ///
    /// With `unsynced` an effect on a file is stopped before it is synced.
    pub fn step(
        &self,
        world: &World,
        leader: &mut Leader,
        fault: Option<Fault>,
        unsynced: bool,
    ) -> Came<Option<Outcome>> {
        let before = self.set(world);
        fault.into_iter().for_each(|fault| self.host().inject(fault));
        self.gate(unsynced);
        let mut jitter = || 0;
        let Some(mut executor) = leader.acting.take() else {
            return self.came(None, before);
        };
        let advance = {
            let mut context = self.context(&self.ports[leader.inputs], &mut jitter);
            self.at_once(executor.step(&mut leader.memory, &mut context))
        };
        self.host().remove_gate();
        let outcome = advance.map(|advance| match advance {
            Some(Advance::Taken { outcome, task }) => {
                let task = task.map(|task| (task.key().clone(), *task));
                leader.tasks.extend(task);
                Some(outcome)
            }
            Some(Advance::Ready) | None => None,
        });
        leader.acting = Some(executor).filter(|it| it.steps().next().is_some());
        self.came(outcome, before)
    }

    /// Goes on with a task of `leader` by one call of a port.
    pub fn task(
        &self,
        world: &World,
        leader: &mut Leader,
        mut task: Task,
        fault: Option<Fault>,
        unsynced: bool,
    ) -> Came<()> {
        let before = self.set(world);
        fault.into_iter().for_each(|fault| self.host().inject(fault));
        self.gate(unsynced);
        let end = self.at_once(task.step(&self.ports[leader.inputs]));
        self.host().remove_gate();
        let key = task.key().clone();
        if let Some(end) = &end {
            leader.tasks.remove(&key);
            match end.clone() {
                Some(end) => {
                    leader.ended.insert(Done(Ended { key, end, ago: Duration::ZERO }));
                }
                None => {
                    leader.tasks.insert(key, task);
                }
            }
        }
        self.came(end.map(drop), before)
    }

    fn gate(&self, unsynced: bool) {
        if unsynced {
            self.host().set_gate(Arc::new(BeforeSync));
        }
    }
}
