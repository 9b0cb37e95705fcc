//! Properties of the production reconciler, supervisor and command on the fake host: from every state no invariant is
//! violated, and the host converges.
//!
//! A case is a list of operations of a random subset of their kinds. The checks depend on the host alone. A failing
//! case is printed with its kinds, shrunk, and kept under `proptest-regressions` and as a separate test in
//! `regressions.rs`. `PROPTEST_CASES=n` sets the number of cases of each property.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a case fails if it cannot be set up")]

mod case;
mod companions;
mod convergence;
mod differential;
mod leaders;
mod metamorphic;
mod operations;
mod oracle;
mod regressions;
mod shrinking;
mod simulation;
mod steps;
mod supervised;
mod watch;
