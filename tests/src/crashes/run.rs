//! Runs a workload from its start, or from the host after a crash, to its end or to the next crash.

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::{Counts, FakeHost, World};
use companion_core::model::desired::Target;
use companion_core::reconciler::{Convergence, ReconcileError, Reconciler};

use super::boundaries::{Boundaries, Reached};
use super::oracle::{self, Remains};
use super::workloads::{Base, Op, Other, Workload, intended_in, publish, specifications};
use super::{Crash, Stop};
use crate::node::{Node, in_words, name, running_since};
use crate::simulation::checks::{
    as_desired, kept_running, no_violations, nothing_done, rules_kept,
};
use crate::simulation::{Intent, ManagedHost};

/// The maximum age of timestamps on a host at the start of a run; older ones are equivalent.
pub(super) const ORIGIN: Duration = Duration::from_secs(60);

/// Maximum runs of converge until the host matches the desired state.
const CONVERGES: usize = 3;

/// The start of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Start {
    /// The host, at clock time [`ORIGIN`].
    pub(super) world: World,
    /// The first step.
    pub(super) op: usize,
    /// Whether a manager died in that step.
    pub(super) crashed: bool,
}

/// A completed run.
#[derive(Debug)]
pub(super) struct Finished {
    /// The points of the run, if they were recorded.
    pub(super) reached: Vec<Reached>,
    /// The final host.
    pub(super) remains: Remains,
    /// The cost.
    pub(super) counts: Counts,
    /// Runs of converge after the last step until the host matched the desired state.
    pub(super) converges: usize,
    /// Time from the last step until then.
    pub(super) took: Duration,
}

/// A managed host with the gate of a run.
pub(super) struct Run<'w> {
    workload: &'w Workload,
    managed: ManagedHost,
    gate: Arc<Boundaries>,
    /// The host at the start of the last manager.
    began: World,
}

/// The initial host of all workloads with that base.
///
/// # Errors
/// The first difference from the desired state.
pub(super) async fn base(base: Base) -> Result<World, String> {
    let node = Node::new();
    publish(&node.host);
    let host = host_of(&node.host.world()).await;
    for spec in intended_in(base) {
        host.install(&spec);
    }
    let node = Node::of(host);
    let _ = converge(&node.host, &node.reconciler).await?;
    node.sleep(ORIGIN.as_secs()).await;
    let _ = converge(&node.host, &node.reconciler).await?;
    as_desired(&node.host)?;
    Ok(node.host.world().rebased(node.host.now(), ORIGIN))
}

/// A host in the state `world` at clock time [`ORIGIN`] that knows all specifications.
async fn host_of(world: &World) -> FakeHost {
    let host = FakeHost::default();
    for spec in specifications() {
        host.install(&spec);
    }
    host.change(|now, _| now.clone_from(world));
    host.require_leader(true);
    tokio::time::advance(ORIGIN).await;
    host
}

/// Converges and checks the result; an app reported as removed must stay removed.
async fn converge(host: &FakeHost, manager: &Reconciler) -> Result<Convergence, String> {
    sound(host, manager.converge().await)
}

fn sound(
    host: &FakeHost,
    convergence: Result<Convergence, ReconcileError>,
) -> Result<Convergence, String> {
    let convergence = convergence.map_err(|error| error.chain())?;
    let last = &convergence.last;
    rules_kept(last)?;
    // An intent is promised only after it is durable.
    if host.world().record_is_durable() {
        let removed = last.desired.removed().map(|(name, _)| name);
        let finished = removed.filter(|name| last.plan.is_converged_for(name));
        finished.for_each(|name| host.removal_finished(name));
    }
    Ok(convergence)
}

impl<'w> Run<'w> {
    /// A run of `workload` from `start`; a manager after a crash starts without memory.
    ///
    /// # Errors
    /// The violation in the first converge of a manager that was already running.
    async fn new(
        workload: &'w Workload,
        start: &Start,
        stop: Option<Stop>,
    ) -> Result<Self, String> {
        let host = host_of(&start.world).await;
        let managed = ManagedHost::new(host, Box::new(Node::reconciler_of));
        if !start.crashed {
            // It has been running and knows the containers; its successor does not.
            let _ = converge(&managed.host, &managed.manager).await?;
        }
        let gate = Arc::new(Boundaries::new(&managed.host, stop));
        managed.host.set_gate(gate.clone());
        Ok(Self { workload, managed, gate, began: start.world.clone() })
    }

    /// Runs `workload` from `start` to the end and returns the first violation.
    pub(super) async fn whole(
        workload: &'w Workload,
        start: &Start,
        stop: Option<Stop>,
    ) -> Result<Finished, String> {
        let mut run = Self::new(workload, start, stop).await?;
        let result = run.steps_from(start.op, start.crashed).await;
        run.managed.host.remove_gate();
        result
    }

    /// Runs `workload` from `start` until the crash point, lets the manager die in that way, and continues with one
    /// without memory.
    pub(super) async fn crashed(
        workload: &'w Workload,
        start: &Start,
        stop: Stop,
        crash: Crash,
    ) -> Result<(World, Finished), String> {
        let mut run = Self::new(workload, start, Some(stop)).await?;
        run.finish_with_a_crash(start, crash).await
    }

    async fn finish_with_a_crash(
        &mut self,
        start: &Start,
        crash: Crash,
    ) -> Result<(World, Finished), String> {
        let gate = Arc::clone(&self.gate);
        tokio::select! {
            biased;
            () = gate.all_stopped() => {}
            finished = self.steps_from(start.op, start.crashed) => {
                let what = finished.err().unwrap_or_else(|| "the point was not reached".to_owned());
                return Err(what);
            }
        }
        self.managed.host.remove_gate();
        self.managed.manager.shut_down().await;
        // In-flight work of the other process is dropped when its tasks are polled next.
        tokio::task::yield_now().await;
        if let Some(leader) = self.managed.host.leader() {
            return Err(format!("actor {leader} died, but still leads"));
        }
        match crash {
            Crash::Killed => {}
            Crash::PowerLost(outcome) => self.managed.host.power_loss_leaving(outcome),
        }
        let left = self.managed.host.world().rebased(self.managed.host.now(), ORIGIN);
        self.start_manager();
        let finished = self.steps_from(gate.op(), true).await?;
        Ok((left, finished))
    }

    fn start_manager(&mut self) {
        self.managed.start();
        self.began = self.managed.host.world();
    }

    async fn steps_from(&mut self, first: usize, crashed: bool) -> Result<Finished, String> {
        let workload = self.workload;
        let ops = workload.ops.iter().enumerate().skip(first);
        for (number, op) in ops {
            self.gate.begin(number);
            if crashed && number == first && op.is_asked_again() {
                // The manager restarts before the next request.
                let _ = converge(&self.managed.host, &self.managed.manager).await?;
            }
            self.step(*op).await?;
        }
        self.gate.begin(workload.ops.len());
        self.end().await
    }

    async fn step(&mut self, op: Op) -> Result<(), String> {
        let host = &self.managed.host;
        match op {
            Op::Install(spec) => recorded(host, &Intent::Install(spec().into())).await?,
            Op::Remove(base) => recorded(host, &Intent::Remove(name(base))).await?,
            // Its successor retries what it could not do.
            Op::Converge => drop(converge(host, &self.managed.manager).await?),
            Op::Concurrent(delay, other) => self.concurrently(delay, other).await?,
            Op::Fault(fault, base) => {
                let spec = specifications().into_iter().find(|spec| spec.name.as_str() == base);
                let spec = spec.ok_or_else(|| format!("`{base}` is no companion"))?;
                self.managed.apply(fault, &spec).await?;
                if fault.ends_managers().is_some() {
                    self.began = self.managed.host.world();
                }
            }
            Op::Sleep(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
        Ok(())
    }

    /// Two concurrent processes; one of them may die. If the manager dies, the other leads from then on.
    async fn concurrently(&mut self, delay: Duration, other: Other) -> Result<(), String> {
        let (gate, manager) = (Arc::clone(&self.gate), Arc::clone(&self.managed.manager));
        let first = async {
            tokio::select! {
                biased;
                () = gate.one_stopped(0) => {
                    manager.shut_down().await;
                    None
                }
                passed = converge(&self.managed.host, &manager) => Some(passed.map(drop)),
            }
        };
        let second = async {
            tokio::time::sleep(delay).await;
            tokio::select! {
                biased;
                () = gate.one_stopped(1) => None,
                done = other_process(&self.managed, other) => Some(done),
            }
        };
        let (first, second) = tokio::join!(first, second);
        gate.bury();
        let manager_died = first.is_none();
        first.unwrap_or(Ok(()))?;
        // A requester that died repeats its request.
        let asked_again = second.is_none() || manager_died;
        second.unwrap_or(Ok(()))?;
        if asked_again {
            other_process(&self.managed, other).await?;
        }
        if manager_died {
            self.start_manager();
        }
        Ok(())
    }

    /// Converges until the host matches the desired state, and checks the result.
    async fn end(&mut self) -> Result<Finished, String> {
        let ended = self.managed.host.now();
        let mut converges = 0;
        let took = loop {
            let _ = converge(&self.managed.host, &self.managed.manager).await?;
            converges += 1;
            let mismatch = self.managed.host.mismatch();
            if mismatch.is_none() {
                break self.managed.host.now().saturating_sub(ended);
            }
            if converges == CONVERGES {
                return Err(format!("after {converges} converges: {mismatch:?}"));
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
        };
        let counts = self.managed.host.counts();
        self.is_quiet().await?;
        no_violations(&self.managed.host)?;
        self.others_went_on()?;
        let remains = Remains::of(&self.managed.host.world(), &self.managed.host.specs());
        Ok(Finished { reached: self.gate.take(), remains, counts, converges, took })
    }

    /// Neither the manager nor one without memory has anything left to do.
    async fn is_quiet(&self) -> Result<(), String> {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let before = self.managed.host.counts();
        let again = converge(&self.managed.host, &self.managed.manager).await?;
        nothing_done(before, self.managed.host.counts())?;
        if !again.steps.is_empty() {
            return Err(format!("the next converge did {:?}", in_words(&again.steps)));
        }
        self.managed.manager.shut_down().await;
        let fresh = converge(&self.managed.host, &Node::reconciler_of(&self.managed.host)).await?;
        if !fresh.steps.is_empty() {
            return Err(format!("the next manager did {:?}", in_words(&fresh.steps)));
        }
        Ok(())
    }

    /// Checks the companions outside the workload: no effects, and their containers keep running.
    fn others_went_on(&self) -> Result<(), String> {
        let workload = self.workload;
        let intended = intended_in(workload.base).into_iter().map(|spec| spec.name);
        for name in intended.filter(|name| !workload.touches.contains(&name.as_str())) {
            oracle::nothing_was_done_for(&name, &self.managed.host.journal())?;
            kept_running(&name, running_since(&self.began, &name), &self.managed.host.world())?;
        }
        Ok(())
    }
}

async fn recorded(host: &FakeHost, intent: &Intent) -> Result<(), String> {
    intent.record(host).await.map_err(|error| error.chain())
}

/// The complete run of another process: a second manager, or a command.
async fn other_process(managed: &ManagedHost, other: Other) -> Result<(), String> {
    let host = managed.host.as_actor(1);
    let intent = match other {
        Other::Manager => None,
        Other::Installs(spec) => Some(Intent::Install(spec().into())),
        Other::Removes(base) => Some(Intent::Remove(name(base))),
    };
    let convergence = match &intent {
        None => {
            let manager = managed.process(&host);
            let convergence = manager.converge().await;
            manager.shut_down().await;
            convergence
        }
        Some(intent) => managed.request(&host, intent).await.map_err(|error| error.chain())?,
    };
    match convergence {
        Err(ReconcileError::Led { .. }) => Ok(()),
        mut convergence => {
            if let (Ok(convergence), Some(intent)) = (&mut convergence, &intent) {
                // A converge of one companion reports nothing about others.
                let targets = &mut convergence.last.desired.targets;
                targets.retain(|named, target| {
                    named == intent.name() || matches!(target, Target::Present(_))
                });
            }
            sound(&host, convergence).map(drop)
        }
    }
}
