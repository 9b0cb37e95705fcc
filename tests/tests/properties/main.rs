//! Properties over the real reconciler, supervisor and command on the fake host: from every state,
//! however it was reached, nothing forbidden happens, and all becomes true again.
//!
//! A case is a list of operations, drawn from a random subset of their kinds. It is played on a host;
//! the host alone is asked what is right. One that fails is printed with its kinds, shrunk, and kept
//! under `proptest-regressions` with a test of its own in `regressions.rs`. `PROPTEST_CASES=n` makes
//! each property as deep as wanted.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a case that cannot be arranged has failed")]

mod case;
mod companions;
mod convergence;
mod differential;
mod leaders;
mod metamorphic;
mod operations;
mod oracle;
mod play;
mod regressions;
mod shrinking;
mod stage;
mod supervised;
mod tamperings;
mod watch;
