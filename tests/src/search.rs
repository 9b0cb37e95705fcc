//! Exhaustive search: every order of a leader's calls, intents, faults, failing calls and leader changes within stated
//! bounds, on the production reconciler and the fake host.
//!
//! A move is one call of a port, with one exception: a reconcile reads the record and observes the host in one move.
//! An intent between these two calls is equivalent to one after both; users and the service manager could act between
//! two reads, and do so here before or after. Time passes only between reconciles, while no task can proceed; the
//! properties cover hanging and late calls. Only the leader acts here; the scenarios and the properties show that a
//! second process is refused.
//!
//! There is no second model. A state is the fake's world plus the memory of the leader's reconciler and its progress
//! between two calls of a port. [`moves`] lists the next moves, [`next`] computes their result, [`oracle`] checks
//! safety, [`liveness`] checks that an undisturbed host converges from there; [`breadth`] visits each state once.
//! [`tables`] start from states that no order of calls may reach.

pub mod breadth;
pub mod host;
pub mod liveness;
pub mod moves;
pub mod next;
pub mod oracle;
pub mod reached;
pub mod rebase;
pub mod setup;
pub mod state;
pub mod tables;
