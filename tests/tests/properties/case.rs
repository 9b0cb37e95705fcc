//! A case: who is on the host, how it begins, and what happens. It is drawn as numbers and printed as
//! what they mean.

use proptest::prelude::*;

use crate::companions::{MOST, Profile};
use crate::operations::{Numbers, Operation, Swarm};

/// All that a run depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    /// Which kinds of operations were drawn, and how often each.
    pub(crate) swarm: Swarm,
    pub(crate) profiles: [Profile; MOST],
    /// Whether all companions run when it begins; else the host is bare.
    pub(crate) installed: bool,
    /// Whether the daemon forgets everything before it is judged.
    pub(crate) forgets: bool,
    pub(crate) operations: Vec<Operation>,
}

impl Case {
    /// A case of a bare host with companions of four kinds, for tests that say what happens.
    pub(crate) fn told(operations: impl Into<Vec<Operation>>) -> Self {
        Self {
            swarm: Swarm::of(u32::MAX, 0),
            profiles: [2, 1, 0, 4].map(Profile::of),
            installed: false,
            forgets: true,
            operations: operations.into(),
        }
    }

    /// The same, with all companions running when it begins.
    pub(crate) fn of_running(operations: impl Into<Vec<Operation>>) -> Self {
        Self { installed: true, ..Self::told(operations) }
    }
}

/// The kinds of operations that a property draws from, as the bits of [`Swarm::of`].
pub(crate) const ALL: u32 = u32::MAX;

/// Cases of up to `most` operations of the kinds in `kinds`.
pub(crate) fn case(kinds: u32, most: usize) -> impl Strategy<Value = Case> {
    let swarm = (any::<u32>(), any::<u64>()).no_shrink();
    let numbers = any::<Numbers>();
    let drawn = prop::collection::vec(numbers, 1..=most);
    (swarm, any::<[u16; MOST]>(), any::<bool>(), any::<bool>(), drawn).prop_map(
        move |((bits, rates), profiles, installed, forgets, drawn)| {
            let swarm = Swarm::of(bits & kinds, rates);
            let operations = drawn.into_iter().map(|numbers| swarm.operation(numbers)).collect();
            let profiles = profiles.map(Profile::of);
            Case { swarm, profiles, installed, forgets, operations }
        },
    )
}

/// The configuration of a property with `cases` cases, or as many as `PROPTEST_CASES` says.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let usual = ProptestConfig { max_shrink_iters: 10_000, ..ProptestConfig::default() };
    if asked { usual } else { ProptestConfig { cases, ..usual } }
}

/// Runs `work` on a runtime of one thread, whose clock stands still while anything can go on.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(work)
}
