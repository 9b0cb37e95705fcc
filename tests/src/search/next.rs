//! The result of a move: the next state, violations and coverage.

use std::collections::HashMap;

use adapter_fake::world::desired::Intent;
use adapter_fake::{Fault as FailingCall, World};
use companion_core::model::companion::CompanionName;
use companion_core::reconciler::Reconcile;
use companion_core::reconciler::parts::Task;

use super::host::{Came, Simulation};
use super::moves::{How, Move, Read, Wanted, call_of, failing_read, failing_step, failing_task};
use super::oracle;
use super::reached::{self, Reached};
use super::setup::{ORIGIN, Setup};
use super::state::{Leader, Shared, State, rebase};
use crate::faults::Fault;

/// The result of a move.
#[derive(Debug)]
pub struct Next {
    /// The next state.
    pub state: State,
    /// The violations.
    pub broken: Vec<String>,
    /// Reached coverage goals.
    pub reached: Reached,
}

/// Makes moves on one host.
pub struct Stepper<'s> {
    setup: &'s Setup,
    simulation: Simulation,
    broken: Vec<String>,
    reached: Reached,
    /// Results of started reconciles; they depend on the host and the leader only.
    reconciles: HashMap<(u64, u64), (World, Leader)>,
}

impl<'s> Stepper<'s> {
    /// A new value for `setup`.
    pub fn new(setup: &'s Setup) -> Self {
        let simulation = Simulation::new(setup);
        Self {
            setup,
            simulation,
            broken: Vec::new(),
            reached: Reached::new(),
            reconciles: HashMap::new(),
        }
    }

    /// The host that it moves on.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// The result of `made` in `state`; `None` if it is impossible or changes nothing.
    pub fn make(&mut self, state: &State, made: Move) -> Option<Next> {
        let mut next = state.clone();
        let free = match made {
            Move::Reconcile { fails, .. } => fails.is_none(),
            Move::Step(how) | Move::Task(_, how) => how == How::Well,
            Move::Intend(..) | Move::HandOver => true,
            Move::Crash | Move::Keep | Move::Fault(..) | Move::Reboot | Move::PowerLoss(_) => false,
        };
        next.faults = state.faults.checked_sub(u8::from(!free))?;
        match made {
            Move::Reconcile { after, fails } => self.reconcile(&mut next, after, fails)?,
            Move::Step(how) => self.step(&mut next, how)?,
            Move::Task(at, how) => self.task(&mut next, at, how)?,
            Move::Crash => followed_by(&mut next, state.leader.get().successor()),
            Move::HandOver => {
                next.hand_overs = state.hand_overs.checked_sub(1)?;
                let inputs = 1 - state.leader.get().inputs;
                followed_by(&mut next, Leader::with_inputs(inputs));
            }
            Move::Keep => {
                let old_view = Some(std::rc::Rc::new(state.world.get().clone()));
                next.leader = Shared::new(Leader { old_view, ..state.leader.get().clone() });
            }
            Move::Fault(fault, at) => {
                let spec = self.setup.spec(usize::from(at), 0);
                if fault == Fault::ContainerLeft && is_absent(state.world.get(), &spec.name) {
                    return None;
                }
                let world =
                    self.simulation.changed(state.world.get(), |host| fault.apply(host, spec));
                settle(&mut next, &world, 0);
                if next.world.fingerprint() == state.world.fingerprint() {
                    return None;
                }
            }
            Move::Reboot => boot(&mut next, |world| world.reboot(ORIGIN)),
            Move::PowerLoss(outcome) => {
                boot(&mut next, |world| world.power_loss_leaving(outcome.into(), ORIGIN));
            }
            Move::Intend(at, wanted) => self.intend(&mut next, usize::from(at), wanted)?,
        }
        let broken = std::mem::take(&mut self.broken);
        Some(Next { state: next, broken, reached: std::mem::take(&mut self.reached) })
    }

    fn note<T>(&mut self, came: &Came<T>) {
        let broken = came.violations.iter().map(|violation| format!("{violation:?}"));
        self.broken.extend(broken);
    }

    fn reconcile(&mut self, next: &mut State, after: u8, fails: Option<Read>) -> Option<()> {
        if after > 0 {
            let world = next.world.get().clone();
            let before = next.fingerprint();
            settle(next, &world, after);
            if next.fingerprint() == before {
                return None;
            }
        }
        let key = (next.world.fingerprint(), next.leader.fingerprint());
        if fails.is_none()
            && let Some((world, leader)) = self.reconciles.get(&key)
        {
            next.leader = Shared::new(leader.clone());
            settle(next, &world.clone(), 0);
            return Some(());
        }
        let leader = next.leader.get().clone();
        let (world, leader) = self.look(next.world.get(), leader, fails.map(failing_read));
        if fails.is_none() && self.broken.is_empty() {
            self.reconciles.insert(key, (world.clone(), leader.clone()));
        }
        next.leader = Shared::new(leader);
        settle(next, &world, 0);
        Some(())
    }

    /// Starts a reconcile of `leader`.
    fn look(
        &mut self,
        world: &World,
        mut leader: Leader,
        fault: Option<FailingCall>,
    ) -> (World, Leader) {
        let came = self.simulation.begin_round(world, &mut leader, fault);
        self.note(&came);
        let mut world = came.world;
        if let Some(reconcile) = came.result.flatten() {
            self.check(&reconcile, &leader);
            let removed = reconcile.desired.removed().map(|(name, _)| name);
            let finished = removed.filter(|name| reconcile.plan.is_converged_for(name));
            finished.for_each(|name| world.removal_finished(name));
        }
        self.begin_tasks(&mut world, &mut leader);
        (world, leader)
    }

    /// Takes the steps without a call: those only start tasks.
    fn begin_tasks(&mut self, world: &mut World, leader: &mut Leader) {
        while leader.acting.as_ref().is_some_and(|executor| call_of(executor).is_none()) {
            let verb = reached::verb(leader.acting.as_ref());
            let came = self.simulation.step(world, leader, None, false);
            self.note(&came);
            self.reached.extend(verb);
            *world = came.world;
        }
    }

    fn check(&mut self, reconcile: &Reconcile, leader: &Leader) {
        let rules = reconcile.violations.iter().map(|rule| format!("S12: the plan breaks {rule}"));
        self.broken.extend(rules);
        self.broken.extend(oracle::after_look(reconcile, leader));
        reached::in_round(reconcile, &mut self.reached);
    }

    fn step(&mut self, next: &mut State, how: How) -> Option<()> {
        let mut leader = next.leader.get().clone();
        let executor = leader.acting.as_ref()?;
        let fault = failing_step(executor, how);
        let verb = reached::verb(Some(executor));
        let unsynced = how == How::DiesUnsynced;
        let came = self.simulation.step(next.world.get(), &mut leader, fault, unsynced);
        self.note(&came);
        let mut world = came.world;
        match came.result {
            Some(outcome) => {
                if let Some(outcome) = outcome {
                    reached::in_outcome(&outcome, verb, &mut self.reached);
                }
                self.begin_tasks(&mut world, &mut leader);
            }
            None => leader = leader.successor(),
        }
        next.leader = Shared::new(leader);
        settle(next, &world, 0);
        Some(())
    }

    fn task(&mut self, next: &mut State, at: u8, how: How) -> Option<()> {
        let mut leader = next.leader.get().clone();
        let task: Task = leader.tasks.values().nth(at.into())?.clone();
        let fault = failing_task(&task, how);
        let unsynced = how == How::DiesUnsynced;
        let came = self.simulation.task(next.world.get(), &mut leader, task, fault, unsynced);
        self.note(&came);
        match came.result {
            Some(()) => reached::in_tasks(&leader, &mut self.reached),
            None if unsynced => leader = leader.successor(),
            // It waits for time to pass.
            None => return None,
        }
        next.leader = Shared::new(leader);
        settle(next, &came.world, 0);
        Some(())
    }

    fn intend(&mut self, next: &mut State, at: usize, wanted: Wanted) -> Option<()> {
        next.intents = next.intents.checked_sub(1)?;
        let world = self.simulation.changed(next.world.get(), |host| {
            let _generation = match wanted {
                Wanted::Version(version) => host.install(self.setup.spec(at, version.into())),
                Wanted::Absent => host.remove(&self.setup.names[at]),
            };
        });
        settle(next, &world, 0);
        Some(())
    }
}

/// Replaces the dead leader by `leader`.
fn followed_by(next: &mut State, leader: Leader) {
    next.leader = Shared::new(leader);
}

/// A removed companion gets no container in the search, even before its removal is complete.
fn is_absent(world: &World, name: &CompanionName) -> bool {
    world.slot(name).is_some_and(|slot| matches!(slot.intent, Some(Intent::Absent { .. })))
}

fn boot(next: &mut State, boot: impl FnOnce(&mut World)) {
    let mut world = next.world.get().clone();
    boot(&mut world);
    followed_by(next, next.leader.get().successor());
    settle(next, &world, 0);
}

/// Sets `world`, `after` seconds later, with all clocks back at the origin.
fn settle(next: &mut State, world: &World, after: u8) {
    let mut leader = next.leader.get().clone();
    let now = ORIGIN + std::time::Duration::from_secs(after.into());
    next.world = Shared::new(rebase(world, &mut leader, now));
    next.leader = Shared::new(leader);
}
