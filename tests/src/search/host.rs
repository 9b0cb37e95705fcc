//! One fake host that can be set to any world and runs any part of a reconcile or task immediately.
//!
//! It uses the reconciler's own parts and the fake's ports, without knowledge of their behaviour.

#![expect(clippy::panic, reason = "a search fails if its host does not answer")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Waiting, Poll, Waker};
use std::time::Duration;

use adapter_fake::world::desired::Specs;
use adapter_fake::{BeforeSync, Counts, FakeHost, Fault as FailingCall, Violation, World};
use companion_core::memory::Ended;
use companion_core::model::Monotonic;
use companion_core::ports::{Acquired, Host, Leadership as _, Lease};
use companion_core::reconciler::parts::{
    Advance, Context, Executor, Task, catch_up, observe_and_plan,
};
use companion_core::reconciler::{Limits, NoEvents, Outcome, Reconcile};
use tokio::runtime::Runtime;

use super::setup::{ORIGIN, Setup};
use super::state::{Done, Leader};
use crate::node::other_version;
use crate::simulation::virtual_time;

/// A host for all visited states, one after the other.
pub struct Simulation {
    /// The host as seen by a process that desires the recorded state, and by one that desires the other version.
    hosts: [FakeHost; 2],
    ports: [Host; 2],
    limits: Limits,
    runtime: Runtime,
    _lease: Box<dyn Lease>,
}

/// The outcome of a part.
#[derive(Debug)]
pub struct Came<T> {
    /// Its result; `None` if it waits or was stopped.
    pub result: Option<T>,
    /// The host afterwards.
    pub world: World,
    /// The violations.
    pub violations: Vec<Violation>,
    /// The calls.
    pub counts: Counts,
}

impl Simulation {
    /// A host with one leader, on which all intents of `setup` can be recorded.
    pub fn new(setup: &Setup) -> Self {
        let runtime = virtual_time();
        let host = FakeHost::new(World::new());
        let lease = runtime.block_on(async {
            let _origin = host.now();
            tokio::time::advance(ORIGIN).await;
            match host.acquire().await {
                Ok(Acquired::Leading(lease)) => lease,
                other => panic!("another process leads: {other:?}"),
            }
        });
        for at in 0..setup.names.len() {
            for version in 0..2 {
                host.install(setup.spec(at, version));
            }
        }
        host.require_leader(true);
        let hosts = [host.clone(), host.deciding_with(other_version)];
        let ports = [hosts[0].ports(), hosts[1].ports()];
        Self { hosts, ports, limits: Limits::default(), runtime, _lease: lease }
    }

    fn host(&self) -> &FakeHost {
        &self.hosts[0]
    }

    /// The specifications that the intents of a world refer to, as a leader with each inputs desires them.
    pub fn specs(&self) -> [Specs; 2] {
        [self.hosts[0].specs(), self.hosts[1].specs()]
    }

    /// Applies `change` to `world` on the fake host.
    pub fn changed(&self, world: &World, change: impl FnOnce(&FakeHost)) -> World {
        self.set(world);
        let _entered = self.runtime.enter();
        change(self.host());
        self.host().world()
    }

    /// Sets the host to `world` and returns the counts so far. Outside the runtime the host would use the real clock.
    fn set(&self, world: &World) -> Counts {
        let _entered = self.runtime.enter();
        self.host().change(|now, _| now.clone_from(world));
        self.host().counts()
    }

    /// Polls `future` once.
    fn immediately<T>(&self, future: impl Future<Output = T>) -> Option<T> {
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

    /// Starts a reconcile of `leader`: reads the record, observes, plans and updates the memory.
    ///
    /// The plan is stored in the leader, or `None` if there is nothing to do. Returns nothing if the reconcile could
    /// not start.
    pub fn begin_round(
        &self,
        world: &World,
        leader: &mut Leader,
        fault: Option<FailingCall>,
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
        let mut jitter = || 0;
        let mut context = self.context(ports, &mut jitter);
        let now = Monotonic::from_origin(ORIGIN);
        catch_up(&mut leader.memory, now, ended, &mut context);
        let reconcile = observe_and_plan(&leader.memory, desired, ports, &self.limits).await;
        leader.memory.learn(&reconcile);
        leader.drop_tasks(&reconcile.plan.superseded);
        leader.acting = Some(Executor::new(&reconcile)).filter(|it| it.steps().next().is_some());
        Some(reconcile)
    }

    /// Answers reads from `view`.
    fn hide(&self, view: Option<&World>) {
        use adapter_fake::{Method, Mode, Port};
        let Some(view) = view else { return };
        self.host().set_old_view(view.clone());
        for (port, method) in [
            (Port::Units, Method::List),
            (Port::Units, Method::Observe),
            (Port::Services, Method::Observe),
            (Port::Images, Method::Observe),
            (Port::Hooks, Method::Observe),
            (Port::Containers, Method::Observe),
        ] {
            self.host().inject(FailingCall::always(port, method, Mode::OldView));
        }
    }

    fn context<'c>(
        &'c self,
        host: &'c Host,
        jitter: &'c mut (dyn FnMut() -> u16 + Send),
    ) -> Context<'c> {
        Context { host, limits: &self.limits, events: &NoEvents, jitter }
    }

    /// Continues the leader's plan by one call of a port and returns the outcome of the step, if it is decided.
    ///
    /// With `unsynced` a file effect is stopped before it is synced.
    pub fn step(
        &self,
        world: &World,
        leader: &mut Leader,
        fault: Option<FailingCall>,
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
            self.immediately(executor.step(&mut leader.memory, &mut context))
        };
        self.host().remove_gate();
        let outcome = advance.map(|advance| match advance {
            Some(Advance::Taken { outcome, task }) => {
                let task = task.map(|task| (task.key.clone(), *task));
                leader.tasks.extend(task);
                Some(outcome)
            }
            Some(Advance::Ready) | None => None,
        });
        leader.acting = Some(executor).filter(|it| it.steps().next().is_some());
        self.came(outcome, before)
    }

    /// Continues a task of `leader` by one call of a port.
    pub fn task(
        &self,
        world: &World,
        leader: &mut Leader,
        mut task: Task,
        fault: Option<FailingCall>,
        unsynced: bool,
    ) -> Came<()> {
        let before = self.set(world);
        fault.into_iter().for_each(|fault| self.host().inject(fault));
        self.gate(unsynced);
        let end = self.immediately(task.step(&self.ports[leader.inputs]));
        self.host().remove_gate();
        let key = task.key.clone();
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
