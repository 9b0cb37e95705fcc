//! The parts of a reconcile, for a search that stops between any two port calls.
//!
//! [`Reconciler`](super::Reconciler) runs these parts in order and decides nothing else. Between two calls all
//! state is plain data, so a search can clone it and continue each clone differently:
//!
//! 1. The leader reads the desired state through the ports of [`Host`](crate::ports::Host).
//! 2. Tasks that are [`outdated`](Memory::outdated) are cancelled, and finished ones are
//!    [collected](Memory::catch_up).
//! 3. [`Reconcile::look`](super::Reconcile::look) observes and plans; [`Memory::learn`] updates the memory.
//!    [`Reconcile::restrict_to`](super::Reconcile::restrict_to) limits it to the requested companions.
//! 4. [`Reconcile::executor`](super::Reconcile::executor) executes the plan: [`Executor::step`] makes at most
//!    one port call each time, and returns the [`Task`]s that continue.
//! 5. [`Task::step`] does the same for a task.
//!
//! [`Memory::rebased`] maps memories that differ only in time to one.

pub use super::execute::{Advance, Executor};
pub use super::memory::Memory;
pub use super::rebase::RunName;
pub use super::reconcile::Context;
pub use super::tasks::{End, Ended, Stage, Task, TaskKey};
