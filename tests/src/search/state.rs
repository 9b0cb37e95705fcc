//! The states of a search: the world, the leader's memory and its work in progress.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hash};
use std::rc::Rc;
use std::time::Duration;

use adapter_fake::World;
use adapter_fake::world::desired::Intent;
use companion_core::memory::{End, Ended, Memory, TaskKey};
use companion_core::model::Monotonic;
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::ports::Job;
use companion_core::reconciler::parts::{Executor, Stage, Task};
use foldhash::fast::FixedState;

use super::rebase::{RunName, rebase_memory};
use super::setup::ORIGIN;

/// A shared value with its fingerprint.
#[derive(Debug)]
pub struct Shared<T>(Rc<T>, u64);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0), self.1)
    }
}

impl<T: Hash> Shared<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Self {
        let fingerprint = fingerprint(&value);
        Self(Rc::new(value), fingerprint)
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// A 64-bit digest of the value.
    pub fn fingerprint(&self) -> u64 {
        self.1
    }
}

/// A 64-bit digest of `value`: fast for many small parts, and only for trusted input.
pub fn fingerprint(value: &impl Hash) -> u64 {
    FixedState::default().hash_one(value)
}

/// The leading process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Leader {
    /// The index of its inputs; see [`Simulation`](super::host::Simulation).
    pub inputs: usize,
    /// The memory of its reconciler.
    pub memory: Memory,
    /// The plan in progress.
    pub acting: Option<Executor>,
    /// Its running tasks.
    pub tasks: BTreeMap<TaskKey, Task>,
    /// Its tasks that ended since its last observation.
    pub ended: BTreeSet<Done>,
    /// The stale host that its next observation returns, if any.
    pub old_view: Option<Rc<World>>,
}

/// A task that ended, with a total order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Done(pub Ended);

impl Ord for Done {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl PartialOrd for Done {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Leader {
    /// A new process with those inputs.
    pub fn with_inputs(inputs: usize) -> Self {
        Self { inputs, ..Self::default() }
    }

    /// The successor of a dead leader, without memory.
    pub fn successor(&self) -> Self {
        Self::with_inputs(self.inputs)
    }

    /// Drops the given tasks before their next call; the next observation learns of their end.
    pub fn drop_tasks(&mut self, unneeded: &[TaskKey]) {
        for key in unneeded {
            if self.tasks.remove(key).is_some() {
                let (key, end, ago) = (key.clone(), End::Dropped, Duration::ZERO);
                self.ended.insert(Done(Ended { key, end, ago }));
            }
        }
    }
}

/// A state of a search.
#[derive(Debug, Clone)]
pub struct State {
    /// The host.
    pub world: Shared<World>,
    /// The leader.
    pub leader: Shared<Leader>,
    /// Remaining faults.
    pub faults: u8,
    /// Remaining intents.
    pub intents: u8,
    /// Remaining leader changes to a process with other inputs.
    pub hand_overs: u8,
}

impl State {
    /// A 64-bit digest of the state.
    pub fn fingerprint(&self) -> u64 {
        let parts = (self.world.fingerprint(), self.leader.fingerprint());
        fingerprint(&(parts, self.faults, self.intents, self.hand_overs))
    }
}

/// Shifts `world` and `leader` from `now` to [`ORIGIN`], so that states that differ only in time become equal.
pub fn rebase(world: &World, leader: &mut Leader, now: Duration) -> World {
    let mut moved = world.clone();
    moved.advance(now);
    let jobs = leader.tasks.values_mut().filter_map(job);
    let (mut ids, jobs): (Vec<u32>, Vec<&mut Job>) =
        jobs.filter_map(|job| Some((job.id.parse::<u32>().ok()?, job))).unzip();
    let world = moved.rebased_for(now, ORIGIN, &mut ids);
    for (job, id) in jobs.into_iter().zip(ids) {
        job.id = id.to_string();
    }
    let runs = run_names(&moved, &world, now);
    let (now, origin) = (Monotonic::from_origin(now), Monotonic::from_origin(ORIGIN));
    rebase_memory(&mut leader.memory, now, origin, &runs);
    world
}

/// The job that `task` waits for.
fn job(task: &mut Task) -> Option<&mut Job> {
    match &mut task.stage {
        Stage::Wait(job) => Some(job),
        Stage::Render(..)
        | Stage::Commit(..)
        | Stage::Ensure(_)
        | Stage::Prune(_)
        | Stage::Over => None,
    }
}

fn run_names(before: &World, after: &World, now: Duration) -> BTreeMap<CompanionName, RunName> {
    let run_id = |world: &World, name: &CompanionName, now| {
        world.service(name, now).ok().and_then(|service| service.run_id)
    };
    let named = |name: &CompanionName, intent: Option<Intent>| RunName {
        generation: match intent {
            Some(Intent::Exists { generation, .. } | Intent::Absent { generation, .. }) => {
                Generation(generation)
            }
            None => Generation::default(),
        },
        before: run_id(before, name, now),
        after: run_id(after, name, ORIGIN),
    };
    before.slots().map(|(name, slot)| (name.clone(), named(name, slot.intent))).collect()
}
