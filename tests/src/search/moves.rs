//! The possible next moves of a state.

use std::fmt;

use adapter_fake::{Fault as FailingCall, Method, Mode, Port};
use companion_core::plan::Action;
use companion_core::ports::PortErrorKind;
use companion_core::reconciler::parts::{Executor, Stage, Task};

use super::setup::Setup;
use super::state::{Leader, State};
use crate::faults::Fault;

/// The outcome of a port call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// Success.
    Well,
    /// It does nothing and returns an error.
    Fails,
    /// It completes and returns an error.
    FailsAfterEffect,
    /// The caller dies after the effect and before it is synced.
    DiesUnsynced,
}

/// A failing read of a reconcile: the call and its error.
pub type Read = (Port, Method, PortErrorKind);

const READS: [Read; 7] = [
    (Port::Desired, Method::Load, PortErrorKind::Invalid),
    (Port::Units, Method::List, PortErrorKind::Transient),
    (Port::Units, Method::Observe, PortErrorKind::Denied),
    (Port::Services, Method::Observe, PortErrorKind::Unavailable),
    (Port::Images, Method::Observe, PortErrorKind::Transient),
    (Port::Hooks, Method::Observe, PortErrorKind::Transient),
    (Port::Containers, Method::Observe, PortErrorKind::Transient),
];

/// The intent for a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Install one of its two versions, by number.
    Version(u8),
    /// Remove it.
    Absent,
}

/// A move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// Time passes, and the leader starts a reconcile: it reads the record, observes and plans.
    Reconcile {
        /// Seconds that pass before.
        after: u8,
        /// The failing read.
        fails: Option<Read>,
    },
    /// The leader makes the next call of its plan.
    Step(How),
    /// A task of the leader, by its index, makes its next call.
    Task(u8, How),
    /// The leader dies and is replaced by one without memory.
    Crash,
    /// The same, and its successor has other inputs.
    HandOver,
    /// The leader's next observation is fixed to the current state.
    Keep,
    /// A fault of the companion of that number.
    Fault(Fault, u8),
    /// The host is shut down cleanly and boots.
    Reboot,
    /// The host loses power, with one of the possible outcomes, and boots.
    PowerLoss(u8),
    /// An intent is recorded for the companion of that number.
    Intend(u8, Wanted),
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The length of a time step: the daemon's resync, longer than the first back-offs.
const RESYNC: u8 = 30;

/// All possible next moves in `state`.
pub fn moves(setup: &Setup, faults: &[Fault], state: &State) -> Vec<Move> {
    let mut moves = Vec::new();
    of_leader(state.leader.get(), state.faults > 0, &mut moves);
    if state.faults > 0 {
        from_outside(setup, faults, state, &mut moves);
    }
    if state.intents > 0 {
        for at in 0..setup.names.len() {
            let known =
                state.world.get().slot(&setup.names[at]).is_some_and(|s| s.intent.is_some());
            let at = u8::try_from(at).unwrap_or(u8::MAX);
            moves.push(Move::Intend(at, Wanted::Version(0)));
            moves.push(Move::Intend(at, Wanted::Version(1)));
            moves.extend(known.then_some(Move::Intend(at, Wanted::Absent)));
        }
    }
    moves.extend((state.hand_overs > 0).then_some(Move::HandOver));
    moves
}

fn of_leader(leader: &Leader, faulty: bool, moves: &mut Vec<Move>) {
    if let Some(executor) = &leader.acting {
        let hows = hows(faulty, call_of(executor).is_some_and(|(_, _, file)| file));
        moves.extend(hows.map(Move::Step));
    } else {
        moves.push(Move::Reconcile { after: 0, fails: None });
        if !leader.tasks.values().any(is_busy) {
            moves.push(Move::Reconcile { after: RESYNC, fails: None });
        }
        if faulty {
            let fails = |read| Move::Reconcile { after: 0, fails: Some(read) };
            moves.extend(READS.map(fails));
            moves.extend(leader.old_view.is_none().then_some(Move::Keep));
        }
    }
    for (at, task) in leader.tasks.values().enumerate() {
        let at = u8::try_from(at).unwrap_or(u8::MAX);
        let commits = matches!(task.stage, Stage::Commit(..));
        moves.extend(hows(faulty, commits).map(|how| Move::Task(at, how)));
    }
    if faulty && *leader != leader.successor() {
        moves.push(Move::Crash);
    }
}

/// Whether a task can proceed before time passes; one that waits for a job cannot.
fn is_busy(task: &Task) -> bool {
    !matches!(task.stage, Stage::Wait(_))
}

fn hows(faulty: bool, file: bool) -> impl Iterator<Item = How> {
    let faults = faulty.then_some([How::Fails, How::FailsAfterEffect]).into_iter().flatten();
    let dies = (faulty && file).then_some(How::DiesUnsynced);
    std::iter::once(How::Well).chain(faults).chain(dies)
}

fn from_outside(setup: &Setup, faults: &[Fault], state: &State, moves: &mut Vec<Move>) {
    for fault in faults {
        let many = if fault.concerns_all() { 1 } else { setup.names.len() };
        let at = 0..u8::try_from(many).unwrap_or(u8::MAX);
        moves.extend(at.map(|at| Move::Fault(*fault, at)));
    }
    moves.push(Move::Reboot);
    let outcomes = state.world.get().power_loss_outcomes().min(8);
    moves.extend((0..u8::try_from(outcomes).unwrap_or(8)).map(Move::PowerLoss));
}

/// The next call of `executor`, and whether its effect is on a file; `None` when the next step only starts a task.
pub fn call_of(executor: &Executor) -> Option<(Port, Method, bool)> {
    Some(match &executor.steps().next()?.action {
        Action::LoadUnits => (Port::Services, Method::Reload, false),
        Action::RunHook { .. } | Action::EnsureImage(_) | Action::PruneImages(_) => return None,
        Action::WriteUnit(_) => (Port::Units, Method::Write, true),
        Action::RemoveUnit => (Port::Units, Method::Remove, true),
        Action::ResetFailed => (Port::Services, Method::ResetFailed, false),
        action if action.condition().is_some() && !executor.is_ready() => {
            (Port::Services, Method::Observe, false)
        }
        Action::StartUnit(_) => (Port::Services, Method::Start, false),
        Action::RestartUnit(_) => (Port::Services, Method::Restart, false),
        Action::StopUnit(_) => (Port::Services, Method::Stop, false),
        Action::RemoveConfig(_) => (Port::Hooks, Method::Remove, true),
        Action::SweepConfigs { .. } => (Port::Hooks, Method::Sweep, true),
        Action::RemoveContainer => (Port::Containers, Method::Remove, false),
    })
}

/// The failing call of `read`.
pub fn failing_read((port, method, kind): Read) -> FailingCall {
    FailingCall::once(port, method, Mode::Error(kind))
}

/// The failing call that gives the next call of `executor` the outcome `how`.
pub fn failing_step(executor: &Executor, how: How) -> Option<FailingCall> {
    let (port, method, _file) = call_of(executor)?;
    failing(port, method, how)
}

/// The same for a task.
pub fn failing_task(task: &Task, how: How) -> Option<FailingCall> {
    let (port, method) = match &task.stage {
        Stage::Render(..) => (Port::Hooks, Method::Render),
        Stage::Commit(..) => (Port::Hooks, Method::Commit),
        Stage::Ensure(_) => (Port::Images, Method::Ensure),
        Stage::Prune(_) => (Port::Images, Method::Prune),
        Stage::Wait(_) => (Port::Services, Method::Wait),
        Stage::Over => return None,
    };
    failing(port, method, how)
}

fn failing(port: Port, method: Method, how: How) -> Option<FailingCall> {
    let kind = match (port, method) {
        (Port::Units, Method::Write) => PortErrorKind::Invalid,
        (Port::Units, Method::Remove) => PortErrorKind::Denied,
        (Port::Services, Method::Reload) | (Port::Hooks, Method::Remove) => PortErrorKind::Conflict,
        (Port::Services, Method::Start) | (Port::Hooks, Method::Render) => PortErrorKind::NotFound,
        (Port::Images, _) => PortErrorKind::Unavailable,
        _ => PortErrorKind::Transient,
    };
    let mode = match how {
        How::Well | How::DiesUnsynced => return None,
        How::Fails => Mode::Error(kind),
        How::FailsAfterEffect => Mode::ErrorAfterEffect(kind),
    };
    Some(FailingCall::once(port, method, mode))
}
