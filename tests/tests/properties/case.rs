//! A case: the companions, the initial host, and the operations. It is generated as numbers and printed as
//! operations.

use companion_tests::simulation::virtual_time;
use proptest::prelude::*;

use crate::companions::{MOST, Profile};
use crate::leaders::INPUTS;
use crate::operations::{Numbers, Operation, Swarm};

/// The complete input of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    /// The weight of each kind of operation.
    pub(crate) swarm: Swarm,
    pub(crate) profiles: [Profile; MOST],
    /// Whether all companions run initially; else the host is empty.
    pub(crate) installed: bool,
    /// Whether the daemon restarts without memory before the final checks.
    pub(crate) forgets: bool,
    /// Whether the host has no optional abilities.
    pub(crate) is_bare: bool,
    /// The [inputs](crate::leaders::inputs) of commands; the first daemon has those of number 0.
    pub(crate) commands: u8,
    pub(crate) operations: Vec<Operation>,
}

impl Case {
    /// A case on an empty host with companions of four kinds, for tests with fixed operations.
    pub(crate) fn of(operations: impl Into<Vec<Operation>>) -> Self {
        Self {
            swarm: Swarm::of(u32::MAX, 0),
            profiles: [2, 1, 0, 4].map(Profile::of),
            installed: false,
            forgets: true,
            is_bare: false,
            commands: 0,
            operations: operations.into(),
        }
    }

    /// The same, with all companions running initially.
    pub(crate) fn of_running(operations: impl Into<Vec<Operation>>) -> Self {
        Self { installed: true, ..Self::of(operations) }
    }
}

impl Case {
    /// Whether the operations are only intents, converges, and processes that end and start.
    pub(crate) fn is_undisturbed(&self) -> bool {
        self.operations.iter().all(|operation| match operation {
            Operation::Install { .. }
            | Operation::Resync
            | Operation::Remove { .. }
            | Operation::Intent { .. }
            | Operation::Sleep(_)
            | Operation::Crash { .. }
            | Operation::Together { .. }
            | Operation::Events(_)
            | Operation::Heal
            | Operation::HandOver { .. }
            | Operation::CommandDies { .. } => true,
            Operation::Fault { .. } | Operation::CallsFail(_) | Operation::PowerLoss { .. } => {
                false
            }
        })
    }
}

/// The kinds of operations of a property, as the bits of [`Swarm::of`].
pub(crate) const ALL: u32 = u32::MAX;
/// All kinds in which every process has the same inputs.
pub(crate) const SAME_INPUTS: u32 = ALL & !(1 << 14);
/// The kinds that [`Case::is_undisturbed`] accepts.
pub(crate) const INTENTS_AND_LEADERS: u32 = 0b1_1111 | 1 << 9 | 1 << 11 | 1 << 14 | 1 << 15;

/// Cases of up to `most` operations of the kinds in `kinds`.
pub(crate) fn case(kinds: u32, most: usize) -> impl Strategy<Value = Case> {
    let swarm = (any::<u32>(), any::<u64>()).no_shrink();
    let other_inputs = if kinds & !SAME_INPUTS == 0 { 1 } else { INPUTS };
    let numbers = any::<Numbers>();
    let drawn = prop::collection::vec(numbers, 1..=most);
    let begins = (any::<[u16; MOST]>(), any::<bool>(), any::<bool>(), 0..other_inputs);
    (swarm, begins, drawn).prop_map(
        move |((bits, rates), (profiles, installed, forgets, commands), drawn)| {
            let swarm = Swarm::of(bits & kinds, rates);
            let operations = drawn.into_iter().map(|numbers| swarm.operation(numbers)).collect();
            let profiles = profiles.map(Profile::of);
            Case { swarm, profiles, installed, forgets, is_bare: false, commands, operations }
        },
    )
}

/// The configuration of a property with `cases` cases, or the number in `PROPTEST_CASES`.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let usual = ProptestConfig { max_shrink_iters: 10_000, ..ProptestConfig::default() };
    if asked { usual } else { ProptestConfig { cases, ..usual } }
}

/// Runs `work` on virtual time.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    virtual_time().block_on(work)
}
