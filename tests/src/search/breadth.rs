//! Breadth-first search over all states: each state is visited once, and every finding has a shortest path.

use std::collections::{HashSet, VecDeque};
use std::fmt;

use super::liveness::{Liveness, put_right};
use super::moves::{Move, moves};
use super::next::Stepper;
use super::reached::Reached;
use super::setup::{FAULTS, Setup};
use super::state::{Leader, Shared, State};
use crate::faults::Fault;

/// The bounds of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Number of companions.
    pub companions: usize,
    /// Number of faults of any kind.
    pub faults: u8,
    /// Number of user intents.
    pub intents: u8,
    /// Number of leader changes to a process with other inputs.
    pub hand_overs: u8,
    /// The permitted faults from outside.
    pub outside: &'static [Fault],
    /// Whether services start and stop slowly.
    pub slow_services: bool,
    /// Maximum number of visited states.
    pub limit: usize,
}

impl Bounds {
    /// Consecutive leaders with the same inputs, with all faults.
    pub const fn of(companions: usize, faults: u8, intents: u8) -> Self {
        Self {
            companions,
            faults,
            intents,
            hand_overs: 0,
            outside: FAULTS,
            slow_services: false,
            limit: 20_000_000,
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { companions, faults, intents, hand_overs, .. } = self;
        write!(f, "{companions} companion(s), {faults} fault(s), {intents} intent(s)")?;
        if *hand_overs > 0 {
            write!(f, ", {hand_overs} leader(s) with other inputs")?;
        }
        f.write_str(if self.outside.is_empty() { ", none from outside" } else { "" })?;
        f.write_str(if self.slow_services { ", slow services" } else { "" })
    }
}

/// A search and its recorded result.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// The bounds.
    pub bounds: Bounds,
    /// The number of states.
    pub states: usize,
    /// The most converges of a daemon with back-offs in memory.
    pub converges: u8,
}

const fn recorded(bounds: Bounds, states: usize, converges: u8) -> Recorded {
    Recorded { bounds, states, converges }
}

/// The searches of every commit. Only the wider ones combine faults with two companions.
pub const COMMIT: &[Recorded] = &[
    recorded(Bounds::of(1, 1, 1), 12_603, 2),
    recorded(Bounds::of(2, 0, 2), 6_076, 1),
    recorded(Bounds { hand_overs: 2, ..Bounds::of(1, 0, 2) }, 13_230, 1),
    recorded(Bounds { hand_overs: 1, ..Bounds::of(1, 1, 1) }, 48_586, 3),
    recorded(Bounds { slow_services: true, ..Bounds::of(1, 0, 2) }, 1_010, 1),
    recorded(Bounds { slow_services: true, ..Bounds::of(1, 1, 1) }, 9_402, 2),
];

/// Wider searches, for a release build.
pub const DEEP: &[Recorded] = &[
    recorded(Bounds::of(1, 1, 2), 219_395, 2),
    recorded(Bounds::of(2, 1, 1), 20_771, 31),
    recorded(Bounds { hand_overs: 1, ..Bounds::of(2, 0, 2) }, 30_043, 1),
    recorded(Bounds { hand_overs: 1, ..Bounds::of(1, 1, 2) }, 826_256, 3),
];

impl Recorded {
    /// Returns where `report` is below the record or slower: a smaller search may prove nothing.
    pub fn compare(&self, report: &Report) -> Result<(), String> {
        let Self { bounds, states, converges } = self;
        if let Some(broken) = &report.broken {
            return Err(format!("{bounds}: {broken}"));
        }
        let enough = report.complete && report.states * 5 >= states * 4;
        if enough && report.worst_with_back_off <= *converges {
            return Ok(());
        }
        Err(format!("{bounds}: {states} states and {converges} converges recorded, {report}"))
    }
}

/// The result of a search.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Distinct states.
    pub states: usize,
    /// Moves.
    pub transitions: u64,
    /// The length of the longest shortest path.
    pub depth: usize,
    /// Distinct worlds.
    pub worlds: usize,
    /// Undisturbed daemon states whose chain was followed.
    pub chains: usize,
    /// The most converges from a fresh start.
    pub worst_converges: u8,
    /// The most converges, including back-offs.
    pub worst_with_back_off: u8,
    /// Whether all states were visited.
    pub complete: bool,
    /// The path to the last state found, one of the farthest.
    pub farthest: String,
    /// Reached coverage goals.
    pub reached: Reached,
    /// The violation, with its path; the search stops at the first.
    pub broken: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, transitions, depth, worlds, chains, worst_converges, .. } = self;
        let back_off = self.worst_with_back_off;
        write!(f, "{states} states, {transitions} transitions, depth {depth}, {worlds} worlds, ")?;
        write!(f, "{chains} chains, at most {worst_converges} converges, ")?;
        write!(f, "{back_off} with what a daemon remembers")?;
        if !self.complete {
            f.write_str(", not complete")?;
        }
        // The probability that two of n states share one of 2^64 fingerprints is about n^2 / 2^65.
        let n = u32::try_from(*states).unwrap_or(u32::MAX);
        write!(f, ", odds of a collision {:.0e}", f64::from(n).powi(2) / 2_f64.powi(65))
    }
}

/// A path to a state: its parent and the move.
#[derive(Debug, Clone, Copy)]
struct Way(u32, Move);

/// Visits all states within `bounds`.
pub fn search(bounds: &Bounds) -> Report {
    let setup = Setup::new(bounds.companions, bounds.slow_services);
    let mut stepper = Stepper::new(&setup);
    let mut liveness = Liveness::new(&setup, stepper.simulation());
    let begin = State {
        world: Shared::new(setup.world()),
        leader: Shared::new(Leader::default()),
        faults: bounds.faults,
        intents: bounds.intents,
        hand_overs: bounds.hand_overs,
    };
    let mut report = Report { complete: true, ..Report::default() };
    let mut seen: HashSet<u64> = [begin.fingerprint()].into();
    let mut checked: HashSet<(u64, u64)> = HashSet::new();
    let mut worlds: HashSet<(u64, usize)> = HashSet::new();
    let mut ways: Vec<Option<Way>> = vec![None];
    let mut queue: VecDeque<(State, u32, usize)> = [(begin, 0, 0)].into();
    while let Some((state, number, depth)) = queue.pop_front() {
        report.depth = depth;
        let leader = state.leader.get();
        let mut chains = Vec::new();
        if worlds.insert((state.world.fingerprint(), leader.inputs)) {
            chains.push(leader.successor());
        }
        let key = (state.world.fingerprint(), state.leader.fingerprint());
        if leader.acting.is_none() && checked.insert(key) {
            chains.push(Leader { old_view: None, ..leader.clone() });
        }
        let world = put_right(&setup, state.world.get());
        let mut wrong =
            chains.iter().map(|leader| liveness.check(stepper.simulation(), &world, leader));
        if let Some(wrong) = wrong.find_map(|wrong| wrong) {
            report.broken = Some(trace(&ways, number, None, &wrong));
        }
        if report.broken.is_some() {
            break;
        }
        for made in moves(&setup, bounds.outside, &state) {
            let Some(next) = stepper.make(&state, made) else { continue };
            report.transitions += 1;
            report.reached.extend(next.reached);
            if !next.broken.is_empty() {
                let wrong = next.broken.join("; ");
                report.broken = Some(trace(&ways, number, Some(made), &wrong));
                break;
            }
            if !seen.insert(next.state.fingerprint()) {
                continue;
            }
            if ways.len() >= bounds.limit {
                report.complete = false;
                continue;
            }
            let id = u32::try_from(ways.len()).unwrap_or(u32::MAX);
            ways.push(Some(Way(number, made)));
            queue.push_back((next.state, id, depth + 1));
        }
        if report.broken.is_some() {
            break;
        }
    }
    let last = u32::try_from(ways.len() - 1).unwrap_or(u32::MAX);
    report.farthest = trace(&ways, last, None, "the farthest state");
    report.states = ways.len();
    report.worlds = worlds.len();
    report.chains = liveness.states;
    report.reached.extend(liveness.reached);
    report.worst_converges = liveness.worst;
    report.worst_with_back_off = liveness.worst_with_back_off;
    report
}

/// A violation and the moves that lead to it.
fn trace(ways: &[Option<Way>], number: u32, last: Option<Move>, wrong: &str) -> String {
    let mut moves: Vec<Move> = last.into_iter().collect();
    let mut number = number;
    while let Some(Some(Way(before, made))) = ways.get(number as usize) {
        moves.push(*made);
        number = *before;
    }
    let way: Vec<_> = moves.iter().rev().map(|made| format!("  {made}")).collect();
    format!("{wrong}\nafter:\n{}", way.join("\n"))
}
