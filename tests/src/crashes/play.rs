//! Playing a workload, from its beginning or from where a crash left it, to its end or to a crash.

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::{Counts, FakeHost, World};
use companion_core::reconciler::{Convergence, ReconcileError, Reconciler};

use super::boundaries::{Boundaries, Reached};
use super::oracle::{self, Remains};
use super::workloads::{Base, Op, Other, Workload, publish, specifications, wished_in};
use super::{Crash, Stop};
use crate::node::{Node, in_words, name, running_since};

/// How old things are at most on a host that a run begins with: all that is older makes no
/// difference to anyone.
pub(super) const ORIGIN: Duration = Duration::from_secs(60);

/// The most passes until everything is as wished.
const PASSES: usize = 3;

/// Where a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Start {
    /// The host, on a clock on which it is [`ORIGIN`].
    pub(super) world: World,
    /// The first step.
    pub(super) op: usize,
    /// Whether a manager died in that step.
    pub(super) crashed: bool,
}

/// A run that went to its end.
#[derive(Debug)]
pub(super) struct Played {
    /// The points that it passed, if they were noted.
    pub(super) reached: Vec<Reached>,
    /// What it left.
    pub(super) remains: Remains,
    /// What it cost.
    pub(super) counts: Counts,
    /// The passes after its last step until everything was as wished.
    pub(super) passes: usize,
    /// The time from its last step until then.
    pub(super) took: Duration,
}

/// The host of a run, its manager and its gate.
pub(super) struct Run<'w> {
    workload: &'w Workload,
    host: FakeHost,
    manager: Arc<Reconciler>,
    gate: Arc<Boundaries>,
    /// The host as it was when the last manager began.
    began: World,
}

/// The host that all workloads with that base begin with.
///
/// # Errors
/// What of it is not as it should be.
pub(super) async fn base(base: Base) -> Result<World, String> {
    let node = Node::new();
    publish(&node.host);
    let host = host_of(&node.host.world()).await;
    for spec in wished_in(base) {
        host.install(&spec);
    }
    let node = Node::of(host);
    let _ = pass(&node.host, &node.reconciler).await?;
    node.sleep(ORIGIN.as_secs()).await;
    let _ = pass(&node.host, &node.reconciler).await?;
    match node.host.untruth() {
        None => Ok(node.host.world().rebased(node.host.now(), ORIGIN)),
        Some(untruth) => Err(format!("the base {base:?} is not true: {untruth:?}")),
    }
}

/// A host in the state `world`, on whose clock it is [`ORIGIN`], and which knows all specifications.
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

/// Makes a pass, and says what is wrong with it; what it reports as removed has to stay so.
async fn pass(host: &FakeHost, manager: &Reconciler) -> Result<Convergence, String> {
    sound(host, manager.converge().await)
}

fn sound(
    host: &FakeHost,
    pass: Result<Convergence, ReconcileError>,
) -> Result<Convergence, String> {
    let pass = pass.map_err(|error| error.chain())?;
    let last = &pass.last;
    if !last.violations.is_empty() {
        return Err(format!("a plan breaks {:?}", last.violations));
    }
    // An intent whose author died before it was durable was promised to nobody.
    if host.world().record_is_durable() {
        let removed = last.desired.removed.keys();
        let finished = removed.filter(|name| last.plan.is_converged_for(name));
        finished.for_each(|name| host.removal_finished(name));
    }
    Ok(pass)
}

impl<'w> Run<'w> {
    /// A run of `workload` from `start`; a manager that follows a crash remembers nothing.
    ///
    /// # Errors
    /// What is wrong with the first pass of a manager that was at work before.
    pub(super) async fn new(
        workload: &'w Workload,
        start: &Start,
        stop: Option<Stop>,
    ) -> Result<Self, String> {
        let host = host_of(&start.world).await;
        let manager = Node::reconciler_of(&host);
        if !start.crashed {
            // It has been at work for a while, and knows what runs; whoever follows it does not.
            let _ = pass(&host, &manager).await?;
        }
        let gate = Arc::new(Boundaries::new(&host, stop));
        host.set_gate(gate.clone());
        Ok(Self { workload, host, manager, gate, began: start.world.clone() })
    }

    /// Plays to the end, and says what is wrong there or on the way.
    pub(super) async fn play(&mut self, start: &Start) -> Result<Played, String> {
        let result = self.steps_from(start.op, start.crashed).await;
        self.host.remove_gate();
        result
    }

    /// Plays until the point at which it is to stop, lets the manager die in that way, and plays on
    /// with one that remembers nothing.
    pub(super) async fn play_with_a_crash(
        &mut self,
        start: &Start,
        crash: Crash,
    ) -> Result<(World, Played), String> {
        let gate = Arc::clone(&self.gate);
        tokio::select! {
            biased;
            () = gate.all_stopped() => {}
            played = self.steps_from(start.op, start.crashed) => {
                let what = played.err().unwrap_or_else(|| "the point was not reached".to_owned());
                return Err(what);
            }
        }
        self.host.remove_gate();
        self.manager.shut_down().await;
        // What another process had begun is dropped when its tasks are next looked at.
        tokio::task::yield_now().await;
        if let Some(leader) = self.host.leader() {
            return Err(format!("actor {leader} died, and leads"));
        }
        match crash {
            Crash::Killed => {}
            Crash::PowerLost(outcome) => self.host.power_loss_leaving(outcome),
        }
        let left = self.host.world().rebased(self.host.now(), ORIGIN);
        self.begin_anew();
        let played = self.steps_from(gate.op(), true).await?;
        Ok((left, played))
    }

    fn begin_anew(&mut self) {
        self.manager = Node::reconciler_of(&self.host);
        self.began = self.host.world();
    }

    async fn steps_from(&mut self, first: usize, crashed: bool) -> Result<Played, String> {
        let workload = self.workload;
        let ops = workload.ops.iter().enumerate().skip(first);
        for (number, op) in ops {
            self.gate.begin(number);
            if crashed && number == first && op.is_asked_again() {
                // The manager is back before anybody asks again.
                let _ = pass(&self.host, &self.manager).await?;
            }
            self.step(*op).await?;
        }
        self.gate.begin(workload.ops.len());
        self.end().await
    }

    async fn step(&mut self, op: Op) -> Result<(), String> {
        let host = &self.host;
        match op {
            Op::Install(spec) => {
                let recorded = host.record_install(&spec()).await;
                recorded.map(|_generation| ()).map_err(|error| error.chain())?;
            }
            Op::Remove(base) => {
                let recorded = host.record_removal(&name(base)).await;
                recorded.map(|_generation| ()).map_err(|error| error.chain())?;
            }
            // What it could not do is for the next one.
            Op::Pass => drop(pass(host, &self.manager).await?),
            Op::Beside(delay, other) => self.beside(delay, other).await?,
            Op::Happens(happens) => happens(host),
            Op::Reboot => {
                host.reboot();
                self.begin_anew();
            }
            Op::PowerLoss => {
                host.power_loss();
                self.begin_anew();
            }
            Op::Sleep(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
        Ok(())
    }

    /// Two processes at once; one of them may die. When it was the manager, the other leads from then on.
    async fn beside(&mut self, delay: Duration, other: Other) -> Result<(), String> {
        let (gate, manager) = (Arc::clone(&self.gate), Arc::clone(&self.manager));
        let first = async {
            tokio::select! {
                biased;
                () = gate.one_stopped(0) => {
                    manager.shut_down().await;
                    None
                }
                passed = pass(&self.host, &manager) => Some(passed.map(drop)),
            }
        };
        let second = async {
            tokio::time::sleep(delay).await;
            tokio::select! {
                biased;
                () = gate.one_stopped(1) => None,
                done = other_process(self.host.as_actor(1), other) => Some(done),
            }
        };
        let (first, second) = tokio::join!(first, second);
        gate.bury();
        let manager_died = first.is_none();
        first.unwrap_or(Ok(()))?;
        // Who asked and died asks again.
        let asked_again = second.is_none() || manager_died;
        second.unwrap_or(Ok(()))?;
        if asked_again {
            other_process(self.host.as_actor(1), other).await?;
        }
        if manager_died {
            self.begin_anew();
        }
        Ok(())
    }

    /// Makes passes until everything is as wished, and looks at what came of it.
    async fn end(&mut self) -> Result<Played, String> {
        let ended = self.host.now();
        let mut passes = 0;
        let took = loop {
            let _ = pass(&self.host, &self.manager).await?;
            passes += 1;
            let untruth = self.host.untruth();
            if untruth.is_none() {
                break self.host.now().saturating_sub(ended);
            }
            if passes == PASSES {
                return Err(format!("after {passes} passes: {untruth:?}"));
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
        };
        let counts = self.host.counts();
        self.is_quiet().await?;
        let violations = self.host.violations();
        if !violations.is_empty() {
            return Err(format!("violations: {violations:?}"));
        }
        self.others_went_on()?;
        let remains = Remains::of(&self.host.world(), &self.host.specs());
        Ok(Played { reached: self.gate.take(), remains, counts, passes, took })
    }

    /// Neither the manager nor one that remembers nothing has anything left to do.
    async fn is_quiet(&self) -> Result<(), String> {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let before = self.host.counts();
        let again = pass(&self.host, &self.manager).await?;
        let cost = self.host.counts().since(before);
        if !again.steps.is_empty() || cost != Counts::default() {
            return Err(format!("the next pass did {:?}: {cost:?}", in_words(&again.steps)));
        }
        self.manager.shut_down().await;
        let fresh = pass(&self.host, &Node::reconciler_of(&self.host)).await?;
        if !fresh.steps.is_empty() {
            return Err(format!("the next manager did {:?}", in_words(&fresh.steps)));
        }
        Ok(())
    }

    /// The companions that the workload does not touch: nobody did anything for them, and what ran
    /// runs on.
    fn others_went_on(&self) -> Result<(), String> {
        let workload = self.workload;
        let wished = wished_in(workload.base).into_iter().map(|spec| spec.name);
        for name in wished.filter(|name| !workload.touches.contains(&name.as_str())) {
            oracle::nothing_was_done_for(&name, &self.host.journal())?;
            let run = |world: &World| running_since(world, &name);
            let (before, now) = (run(&self.began), run(&self.host.world()));
            if before.is_some() && before != now {
                return Err(format!("`{name}` ran since {before:?}, and runs since {now:?}"));
            }
        }
        Ok(())
    }
}

/// What another process does from its beginning to its end: it records its intent, and unless a manager
/// leads, it leads for as long as that takes.
async fn other_process(host: FakeHost, other: Other) -> Result<(), String> {
    let recorded = match other {
        Other::Manager => Ok(()),
        Other::Installs(spec) => host.record_install(&spec()).await.map(drop),
        Other::Removes(base) => host.record_removal(&name(base)).await.map(drop),
    };
    recorded.map_err(|error| error.chain())?;
    let names = match other {
        Other::Manager => None,
        Other::Installs(spec) => Some(spec().name),
        Other::Removes(base) => Some(name(base)),
    };
    let manager = Node::reconciler_of(&host);
    let pass = match &names {
        None => manager.converge().await,
        Some(name) => manager.converge_for(&[name.clone()].into()).await,
    };
    manager.shut_down().await;
    match pass {
        Err(ReconcileError::Led { .. }) => Ok(()),
        mut pass => {
            if let (Ok(pass), Some(name)) = (&mut pass, &names) {
                // Of others a pass for one companion says nothing.
                pass.last.desired.removed.retain(|removed, _| removed == name);
            }
            sound(&host, pass).map(drop)
        }
    }
}
