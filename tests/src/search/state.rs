//! The states of a search: the world, and what the leader has in its memory and its hands.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use adapter_fake::World;
use adapter_fake::world::desired::Wish;
use companion_core::model::Monotonic;
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::reconciler::stepwise::{End, Ended, Executor, Memory, RunName, Task, TaskKey};

use super::scene::ORIGIN;

/// A value that is shared between states, with its fingerprint.
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

    /// A 64-bit digest of it.
    pub fn fingerprint(&self) -> u64 {
        self.1
    }
}

/// A 64-bit digest of `value`.
pub fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = Folded(0x9e37_79b9_7f4a_7c15);
    value.hash(&mut hasher);
    hasher.finish()
}

/// A hash by folded multiplication: quick on the many small parts that a state has, and never given
/// what an adversary chose.
struct Folded(u64);

impl Folded {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0xa076_1d64_78bd_642f;
        let [a, b] = [product as u64, (product >> 64) as u64];
        self.0 = (a ^ b).rotate_left(23).wrapping_add(0x2d35_8dcc_aa6c_78a5);
    }
}

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        let mut last = Self(self.0);
        last.fold(0x8bb8_4b93_962e_acc9);
        last.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.fold(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.fold(u64::from_le_bytes(last) ^ length.rotate_left(56));
    }
}

/// The process that leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Leader {
    /// The inputs that it decides with, by number; see [`Simulation`](super::host::Simulation).
    pub inputs: usize,
    /// What its reconciler remembers.
    pub memory: Memory,
    /// The plan that it is carrying out.
    pub acting: Option<Executor>,
    /// Its tasks under way.
    pub tasks: BTreeMap<TaskKey, Task>,
    /// Its tasks that ended since its last look.
    pub ended: BTreeSet<Done>,
    /// The host as it will see it at its next look, instead of as it is.
    pub old_view: Option<Rc<World>>,
}

/// A task that ended, in an order of its own.
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
    /// A process with those inputs that has just begun.
    pub fn with_inputs(inputs: usize) -> Self {
        Self { inputs, ..Self::default() }
    }

    /// The process that follows when this one died: it remembers nothing.
    pub fn successor(&self) -> Self {
        Self::with_inputs(self.inputs)
    }

    /// Drops the tasks named before they can do anything more; the next look takes over that they ended.
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
    /// Who leads.
    pub leader: Shared<Leader>,
    /// How many faults may still come.
    pub faults: u8,
    /// How many intents may still come.
    pub intents: u8,
    /// How often the leadership may still go to a process with other inputs.
    pub hand_overs: u8,
}

impl State {
    /// A 64-bit digest of it.
    pub fn fingerprint(&self) -> u64 {
        let parts = (self.world.fingerprint(), self.leader.fingerprint());
        fingerprint(&(parts, self.faults, self.intents, self.hand_overs))
    }
}

/// Brings `world` and `leader`, as they are at `now`, back to [`ORIGIN`]: states that differ only in when
/// they were reached are one afterwards.
pub fn rebase(world: &World, leader: &mut Leader, now: Duration) -> World {
    let mut moved = world.clone();
    moved.advance(now);
    let jobs = leader.tasks.iter().filter_map(|(key, task)| Some((key, task.job()?)));
    let waiting: Vec<(TaskKey, u32)> =
        jobs.filter_map(|(key, job)| Some((key.clone(), job.parse().ok()?))).collect();
    let mut ids: Vec<u32> = waiting.iter().map(|(_, id)| *id).collect();
    let rebased = moved.rebased_for(now, ORIGIN, &mut ids);
    let runs = run_names(&moved, &rebased, now);
    let jobs: BTreeMap<TaskKey, u32> =
        waiting.into_iter().map(|(key, _old)| key).zip(ids).collect();
    for (key, task) in std::mem::take(&mut leader.tasks) {
        let job = jobs.get(&key).map(u32::to_string);
        leader.tasks.insert(key, task.rebased(job));
    }
    let (now, origin) = (Monotonic::from_origin(now), Monotonic::from_origin(ORIGIN));
    leader.memory = leader.memory.rebased(now, origin, &runs);
    rebased
}

fn run_names(before: &World, after: &World, now: Duration) -> BTreeMap<CompanionName, RunName> {
    let invocation = |world: &World, name: &CompanionName, now| {
        world.service(name, now).ok().and_then(|service| service.invocation)
    };
    let named = |name: &CompanionName, wish: Option<Wish>| RunName {
        generation: match wish {
            Some(Wish::Exists { generation, .. } | Wish::Gone { generation, .. }) => {
                Generation(generation)
            }
            None => Generation::default(),
        },
        before: invocation(before, name, now),
        after: invocation(after, name, ORIGIN),
    };
    before.slots().map(|(name, slot)| (name.clone(), named(name, slot.wish))).collect()
}
