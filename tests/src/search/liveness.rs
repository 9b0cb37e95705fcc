//! Checks that an undisturbed host converges and then stays idle.
//!
//! From any world and leader memory the reconciles form one chain: each state has one successor. The chains of all
//! states form a graph in which every walk ends in a cycle; a cycle that acts, or does not match the desired state,
//! is a leader that works forever without progress.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use adapter_fake::Counts;
use adapter_fake::World;
use adapter_fake::world::Slot;
use adapter_fake::world::desired::{Intent, Specs};
use adapter_fake::world::images::Reach;
use companion_core::memory::Memory;
use companion_core::model::Monotonic;
use companion_core::model::companion::CompanionName;
use companion_core::reconciler::Outcome;
use companion_core::supervisor::RESYNC;

use super::host::Simulation;
use super::reached::{self, Reached};
use super::setup::{ORIGIN, Setup};
use super::state::{Leader, fingerprint, rebase};
use crate::node::{REGISTRY, config, password};

/// The most converges until an undisturbed host matches the desired state.
pub const CONVERGES: u8 = 3;

/// The most converges for a leader with `memory`, as of [`ORIGIN`]: [`CONVERGES`] plus the resyncs until the last
/// remembered back-off is over.
fn most_passes(memory: &Memory) -> u8 {
    let now = Monotonic::from_origin(ORIGIN);
    let failures = memory.history.failures.values().flat_map(BTreeMap::values);
    let last = failures.map(|failure| failure.retry_at).max();
    let left = last.map_or(Duration::ZERO, |last| now.until(last));
    let resyncs = left.as_secs_f64() / RESYNC.as_secs_f64();
    CONVERGES.saturating_add(resyncs.ceil() as u8)
}

/// The maximum reconciles of a chain; longer ones count as endless.
const RECONCILES: usize = 400;

/// The result of an undisturbed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// The converges until the host matches the desired state permanently.
    converges: u8,
    /// Whether that holds now and nothing more is done.
    quiet: bool,
}

/// The chains that were followed so far.
pub struct Liveness {
    names: Vec<CompanionName>,
    /// By the inputs of the leader.
    specs: [Specs; 2],
    known: HashMap<u64, Known>,
    /// The most converges without an active back-off.
    pub worst: u8,
    /// The most converges of any state.
    pub worst_with_back_off: u8,
    /// The number of distinct states.
    pub states: usize,
    /// Reached coverage goals.
    pub reached: Reached,
}

/// One state of a chain.
struct Link {
    key: u64,
    /// Whether this reconcile was the last of a converge.
    ends_converge: bool,
    /// Whether the host matches the desired state before the reconcile and the reconcile does nothing.
    still: bool,
}

impl Liveness {
    /// An empty result for `setup`.
    pub fn new(setup: &Setup, simulation: &Simulation) -> Self {
        let (names, specs) = (setup.names.clone(), simulation.specs());
        Self {
            names,
            specs,
            known: HashMap::new(),
            worst: 0,
            worst_with_back_off: 0,
            states: 0,
            reached: Reached::new(),
        }
    }

    /// Follows the chain from `world` with `leader`; returns its violation, if any.
    pub fn check(
        &mut self,
        simulation: &Simulation,
        world: &World,
        leader: &Leader,
    ) -> Option<String> {
        let mut links: Vec<Link> = Vec::new();
        let mut at: HashMap<u64, usize> = HashMap::new();
        let most = most_passes(&leader.memory);
        let (mut world, mut leader) = (world.clone(), leader.clone());
        let end = loop {
            let key = fingerprint(&(&world, &leader));
            if let Some(known) = self.known.get(&key) {
                break *known;
            }
            if let Some(begin) = at.get(&key) {
                match self.cycle(&links[*begin..], &world, leader.inputs) {
                    Ok(known) => break known,
                    Err(wrong) => return Some(wrong),
                }
            }
            if links.len() > RECONCILES {
                return Some(format!("not idle after {RECONCILES} reconciles"));
            }
            at.insert(key, links.len());
            let true_before = self.wrong_with(&world, leader.inputs).is_none();
            match self.reconcile(simulation, &mut world, &mut leader) {
                Ok((ends_converge, acts)) => {
                    links.push(Link { key, ends_converge, still: true_before && !acts });
                }
                Err(wrong) => return Some(wrong),
            }
        };
        self.enter(&links, end, most)
    }

    fn enter(&mut self, links: &[Link], end: Known, most: u8) -> Option<String> {
        let mut known = end;
        for link in links.iter().rev() {
            let quiet = link.still && known.quiet;
            let converges = match (quiet, link.ends_converge) {
                (true, _) => 0,
                (false, true) => known.converges + 1,
                (false, false) => known.converges.max(1),
            };
            known = Known { converges, quiet };
            self.known.entry(link.key).or_insert(known);
        }
        self.states = self.known.len();
        let worst = if most == CONVERGES { &mut self.worst } else { &mut self.worst_with_back_off };
        *worst = known.converges.max(*worst);
        let converges = known.converges;
        (converges > most).then(|| format!("{converges} runs of converge, at most {most} allowed"))
    }

    /// Checks the cycle at the end of a chain.
    fn cycle(&self, links: &[Link], world: &World, inputs: usize) -> Result<Known, String> {
        if links.iter().all(|link| link.still) {
            return Ok(Known { converges: 0, quiet: true });
        }
        let wrong = self.wrong_with(world, inputs);
        Err(format!("endless cycle of {} reconciles: {wrong:?}", links.len()))
    }

    /// Returns the differences from the state that a leader with those inputs desires, except those that only the
    /// operator can fix.
    fn wrong_with(&self, world: &World, inputs: usize) -> Option<String> {
        self.names.iter().find_map(|name| {
            if world.slot(name).is_some_and(is_obstructed) {
                return None;
            }
            let mismatch = world.mismatch_at(name, &self.specs[inputs])?;
            Some(format!("`{name}`: {mismatch:?}"))
        })
    }

    /// Runs one undisturbed reconcile with all tasks to their end and advances the clock to the next. Returns whether
    /// a converge ends here and whether anything was done.
    fn reconcile(
        &mut self,
        simulation: &Simulation,
        world: &mut World,
        leader: &mut Leader,
    ) -> Result<(bool, bool), String> {
        let came = simulation.begin_round(world, leader, None);
        let mut counts = vec![came.counts];
        let mut broken = came.violations;
        let reconcile =
            came.result.flatten().ok_or("a reconcile without a fault could not begin")?;
        *world = came.world;
        reached::in_round(&reconcile, &mut self.reached);
        let settled = reconcile.is_settled();
        let idle = reconcile.steps().is_empty();
        let mut started = false;
        while leader.acting.is_some() {
            let verb = reached::verb(leader.acting.as_ref());
            let came = simulation.step(world, leader, None, false);
            counts.push(came.counts);
            broken.extend(came.violations);
            *world = came.world;
            if let Some(outcome) = came.result.flatten() {
                started |= outcome == Outcome::Started;
                reached::in_outcome(&outcome, verb, &mut self.reached);
            }
        }
        tasks(simulation, world, leader, &mut counts, &mut broken);
        let ended = !leader.ended.is_empty();
        if !broken.is_empty() || !reconcile.violations.is_empty() {
            return Err(format!("{broken:?} {:?}", reconcile.violations));
        }
        let pause = match (settled, idle || started, ended) {
            (true, _, _) => RESYNC,
            (false, true, false) => {
                let pause = Duration::from_secs(5);
                reconcile.requeue_after().unwrap_or(pause).min(pause)
            }
            (false, _, _) => Duration::ZERO,
        };
        *world = rebase(world, leader, ORIGIN + pause);
        Ok((settled, counts.into_iter().any(is_effect)))
    }
}

/// Continues all tasks until each has ended or waits.
fn tasks(
    simulation: &Simulation,
    world: &mut World,
    leader: &mut Leader,
    counts: &mut Vec<Counts>,
    broken: &mut Vec<adapter_fake::Violation>,
) {
    let keys: Vec<_> = leader.tasks.keys().cloned().collect();
    for key in keys {
        while let Some(task) = leader.tasks.get(&key).cloned() {
            let came = simulation.task(world, leader, task, None, false);
            counts.push(came.counts);
            broken.extend(came.violations);
            *world = came.world;
            if came.result.is_none() {
                break;
            }
        }
    }
}

/// Whether calls did more than observe. The programs that an observation starts depend on the cached state of this
/// host, which belongs to another state.
fn is_effect(counts: Counts) -> bool {
    Counts { processes: 0, ..counts } != Counts::default()
}

/// Whether an object that only the operator can fix blocks a companion.
pub fn is_obstructed(slot: &Slot) -> bool {
    let unmanaged = slot.file.now().is_some_and(|file| !file.is_ours());
    let container = slot.container.is_some_and(|container| !container.ours);
    unmanaged || container || slot.masked || slot.shadowed || slot.refused || slot.behaviour.crashes
}

/// The same world after the operator fixed everything that only the operator can fix.
pub fn put_right(setup: &Setup, world: &World) -> World {
    let mut world = world.clone();
    for (at, name) in setup.names.iter().enumerate() {
        let Some(slot) = world.slot(name).cloned() else { continue };
        if is_obstructed(&slot) {
            if slot.file.now().is_some_and(|file| !file.is_ours()) {
                world.delete_unit(name);
            }
            world.unmask(name);
            world.refuse_unit(name, false);
            world.crash_loop(name, false, ORIGIN);
            if slot.shadowed {
                world.unshadow(name, ORIGIN);
            }
            if slot.container.is_some_and(|container| !container.ours) {
                world.remove_container(name, ORIGIN);
            }
        }
        if matches!(slot.intent, Some(Intent::Exists { .. })) {
            let pulled = setup.spec(at, 0).image.pull.as_ref();
            pulled.into_iter().for_each(|pull| world.publish(&pull.reference, "published"));
        }
    }
    world.images.registries.insert(REGISTRY.to_owned(), Reach::Up);
    if !world.files.exists(&password()) {
        world.put_input(&password(), "first password");
    }
    if world.files.is_directory(&config()) {
        world.unlink_config(&config());
    }
    world
}
