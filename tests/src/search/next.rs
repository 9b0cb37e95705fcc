//! What comes of a move: the state after it, what it broke, and what of interest it reached.

use std::collections::HashMap;

use adapter_fake::world::Slot;
use adapter_fake::world::desired::Wish;
use adapter_fake::{Fault, World};
use companion_core::reconciler::Round;
use companion_core::reconciler::stepwise::Task;

use super::host::{Came, Theatre};
use super::moves::{How, Move, Read, Wanted, call_of, fault_of_step, fault_of_task};
use super::oracle;
use super::reached::{self, Reached};
use super::scene::{ORIGIN, Scene, Tampering};
use super::state::{Actor, Shared, State, Who, fingerprint, rebase};

/// What came of a move.
#[derive(Debug)]
pub struct Next {
    /// The state after it.
    pub state: State,
    /// What it did that nobody should ever do.
    pub broken: Vec<String>,
    /// What it reached, in words.
    pub reached: Reached,
}

/// Makes moves on one host.
pub struct Mover<'s> {
    scene: &'s Scene,
    theatre: Theatre,
    broken: Vec<String>,
    reached: Reached,
    /// What came of the rounds that were begun: they depend on the host and on the actor alone.
    rounds: HashMap<(u64, u64), (World, Option<Actor>)>,
}

impl<'s> Mover<'s> {
    /// One for `scene`.
    pub fn new(scene: &'s Scene) -> Self {
        let theatre = Theatre::new(scene);
        Self { scene, theatre, broken: Vec::new(), reached: Reached::new(), rounds: HashMap::new() }
    }

    /// The host that it moves on.
    pub fn theatre(&self) -> &Theatre {
        &self.theatre
    }

    /// What comes of `made` in `state`; nothing if it cannot be made now, or changes nothing.
    pub fn make(&mut self, state: &State, made: Move) -> Option<Next> {
        let mut next = state.clone();
        let free = match made {
            Move::Round { fails, .. } => fails.is_none(),
            Move::Step(_, how) | Move::Task(_, _, how) => how == How::Well,
            Move::Wish(..) => true,
            Move::Crash(_)
            | Move::Keep(_)
            | Move::Tamper(..)
            | Move::Reboot
            | Move::PowerLoss(_) => false,
        };
        next.faults = state.faults.checked_sub(u8::from(!free))?;
        match made {
            Move::Round { who, after, fails } => self.round(&mut next, who, after, fails)?,
            Move::Step(who, how) => self.step(&mut next, who, how)?,
            Move::Task(who, at, how) => self.task(&mut next, who, at, how)?,
            Move::Crash(who) => self.crash(&mut next, who),
            Move::Keep(who) => keep(&mut next, who)?,
            Move::Tamper(tampering, at) => {
                let mut world = next.world.get().clone();
                let gone = |slot: &Slot| matches!(slot.wish, Some(Wish::Gone { .. }));
                let name = &self.scene.names[usize::from(at)];
                // Of what is gone the containers are not asked for again: that they stay away is taken
                // from whoever removed the unit.
                if tampering == Tampering::LeftContainer && world.slot(name).is_some_and(gone) {
                    return None;
                }
                tampering.apply(&mut world, self.scene.spec(usize::from(at), 0));
                settle(&mut next, &world, 0);
                if next.world.fingerprint() == state.world.fingerprint() {
                    return None;
                }
            }
            Move::Reboot => boot(&mut next, |world| world.reboot(ORIGIN)),
            Move::PowerLoss(outcome) => {
                boot(&mut next, |world| world.power_loss_leaving(outcome.into(), ORIGIN));
            }
            Move::Wish(at, wanted) => self.wish(&mut next, usize::from(at), wanted)?,
        }
        let broken = std::mem::take(&mut self.broken);
        Some(Next { state: next, broken, reached: std::mem::take(&mut self.reached) })
    }

    fn note<T>(&mut self, came: &Came<T>) {
        let broken = came.violations.iter().map(|violation| format!("{violation:?}"));
        self.broken.extend(broken);
    }

    fn round(&mut self, next: &mut State, who: Who, after: u8, fails: Option<Read>) -> Option<()> {
        if after > 0 {
            let world = next.world.get().clone();
            let before = next.fingerprint();
            settle(next, &world, after);
            if next.fingerprint() == before {
                return None;
            }
        }
        let actor = next.actor(who)?;
        let key = (next.world.fingerprint(), fingerprint(actor));
        if fails.is_none()
            && let Some((world, actor)) = self.rounds.get(&key)
        {
            put(next, who, actor.clone());
            settle(next, &world.clone(), 0);
            return Some(());
        }
        let (world, actor) = self.look(next.world.get(), actor.clone(), fails.map(Read::fault));
        if fails.is_none() && self.broken.is_empty() {
            self.rounds.insert(key, (world.clone(), actor.clone()));
        }
        put(next, who, actor);
        settle(next, &world, 0);
        Some(())
    }

    /// Has `actor` begin a round; nothing is left of one whose pass ends with it.
    fn look(
        &mut self,
        world: &World,
        mut actor: Actor,
        fault: Option<Fault>,
    ) -> (World, Option<Actor>) {
        let came = self.theatre.begin_round(world, &mut actor, fault);
        self.note(&came);
        let mut world = came.world;
        let round = came.result.flatten();
        let over = round.as_ref().is_some_and(|round| {
            self.judge(round);
            actor.names.is_some() && round.is_settled()
        });
        if let Some(round) = round.filter(|_| over) {
            for name in actor.names.iter().flatten() {
                let done = round.plan.is_converged_for(name);
                if done && round.desired.removed.contains_key(name) {
                    world.removal_finished(name);
                }
            }
        }
        self.begin_tasks(&mut world, &mut actor);
        (world, (!over).then_some(actor))
    }

    /// Takes the steps that make no call: those only begin tasks.
    fn begin_tasks(&mut self, world: &mut World, actor: &mut Actor) {
        while actor.acting.as_ref().is_some_and(|executor| call_of(executor).is_none()) {
            let verb = reached::verb(actor.acting.as_ref());
            let executor = actor.acting.iter();
            self.broken
                .extend(executor.filter_map(|executor| oracle::before_step(world, executor)));
            let came = self.theatre.step(world, actor, None, false);
            self.note(&came);
            self.reached.extend(verb);
            *world = came.world;
        }
    }

    fn judge(&mut self, round: &Round) {
        let rules = round.violations.iter().map(|rule| format!("S12: the plan breaks {rule}"));
        self.broken.extend(rules);
        reached::in_round(round, &mut self.reached);
    }

    fn step(&mut self, next: &mut State, who: Who, how: How) -> Option<()> {
        let mut actor = next.actor(who)?.clone();
        let executor = actor.acting.as_ref()?;
        let fault = fault_of_step(executor, how);
        let verb = reached::verb(Some(executor));
        self.broken.extend(oracle::before_step(next.world.get(), executor));
        let unsynced = how == How::DiesUnsynced;
        let came = self.theatre.step(next.world.get(), &mut actor, fault, unsynced);
        self.note(&came);
        let mut world = came.world;
        let Some(outcome) = came.result else {
            self.died(next, who, &world);
            return Some(());
        };
        if let Some(outcome) = outcome {
            reached::in_outcome(&outcome, verb, &mut self.reached);
        }
        self.begin_tasks(&mut world, &mut actor);
        next.set_actor(who, actor);
        settle(next, &world, 0);
        Some(())
    }

    fn task(&mut self, next: &mut State, who: Who, at: u8, how: How) -> Option<()> {
        let mut actor = next.actor(who)?.clone();
        let task: Task = actor.tasks.values().nth(at.into())?.clone();
        let fault = fault_of_task(&task, how);
        let (name, generation) = (task.key().0.clone(), task.generation());
        let unsynced = how == How::DiesUnsynced;
        let key = task.key().clone();
        let mut came = self.theatre.task(next.world.get(), &mut actor, task, fault, unsynced);
        if next.faults == 0
            && next.wishes == 0
            && came.result.is_some()
            && let Some(task) = actor.tasks.get(&key).cloned()
        {
            // Nobody can come between a rendering and what becomes of it any more.
            self.note(&came);
            came = self.theatre.task(&came.world, &mut actor, task, None, false);
        }
        self.note(&came);
        if came.counts.config_writes > 0 {
            self.broken.extend(oracle::wished(next.world.get(), &name, generation, true));
        }
        if came.result.is_none() {
            if !unsynced {
                // It waits for something that only time brings.
                return None;
            }
            self.died(next, who, &came.world);
            return Some(());
        }
        reached::in_tasks(&actor, &mut self.reached);
        next.set_actor(who, actor);
        settle(next, &came.world, 0);
        Some(())
    }

    fn crash(&mut self, next: &mut State, who: Who) {
        let world = next.world.get().clone();
        self.died(next, who, &world);
    }

    /// An actor is gone, and with it its lock.
    fn died(&mut self, next: &mut State, who: Who, world: &World) {
        match who {
            Who::Daemon => next.set_actor(who, Actor::default()),
            Who::Command => next.command = None,
        }
        let world = if next.is_locked() { world.clone() } else { self.theatre.unlocked(world) };
        settle(next, &world, 0);
    }

    fn wish(&mut self, next: &mut State, at: usize, wanted: Wanted) -> Option<()> {
        next.wishes = next.wishes.checked_sub(1)?;
        let name = &self.scene.names[at];
        let world = self.theatre.changed(next.world.get(), |host| {
            let _generation = match wanted {
                Wanted::Version(version) => host.install(self.scene.spec(at, version.into())),
                Wanted::Gone => host.remove(name),
            };
        });
        next.set_actor(Who::Command, Actor::of(Some([name.clone()].into())));
        settle(next, &world, 0);
        Some(())
    }
}

/// Puts what became of an actor in its place; a command that is over is gone.
fn put(next: &mut State, who: Who, actor: Option<Actor>) {
    match actor {
        Some(actor) => next.set_actor(who, actor),
        None => next.command = None,
    }
}

fn keep(next: &mut State, who: Who) -> Option<()> {
    let mut actor = next.actor(who)?.clone();
    actor.old_view = Some(std::rc::Rc::new(next.world.get().clone()));
    next.set_actor(who, actor);
    Some(())
}

fn boot(next: &mut State, boot: impl FnOnce(&mut World)) {
    let mut world = next.world.get().clone();
    boot(&mut world);
    next.daemon = Shared::new(Actor::default());
    next.command = None;
    settle(next, &world, 0);
}

/// Puts `world` in place, `after` seconds later, with everyone's clock at its origin again.
fn settle(next: &mut State, world: &World, after: u8) {
    let mut daemon = next.daemon.get().clone();
    let mut command = next.command.as_ref().map(|command| command.get().clone());
    let now = ORIGIN + std::time::Duration::from_secs(after.into());
    let mut actors: Vec<&mut Actor> = std::iter::once(&mut daemon).chain(&mut command).collect();
    let world = rebase(world, &mut actors, now);
    next.world = Shared::new(world);
    next.daemon = Shared::new(daemon);
    next.command = command.map(Shared::new);
}
