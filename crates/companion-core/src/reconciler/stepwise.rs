//! The parts that a reconcile is made of, for those who stop between any two calls of a port.
//!
//! [`Reconciler`](super::Reconciler) runs these parts one after the other; nothing else of it decides
//! anything. Between two calls all its state is plain data, so a search can copy it, and go on from
//! each copy in another way:
//!
//! 1. The leader reads the desired state, by the ports of [`Host`](crate::ports::Host).
//! 2. Tasks that are [`outdated`](Memory::outdated) are dropped, and those that ended are
//!    [caught up with](Memory::catch_up).
//! 3. [`Reconcile::look`](super::Reconcile::look) observes and plans; [`Memory::learn`] takes over what that
//!    shows. [`Reconcile::restrict_to`](super::Reconcile::restrict_to) leaves to another reconcile what was not
//!    asked for.
//! 4. [`Reconcile::executor`](super::Reconcile::executor) carries out the plan: [`Executor::step`] takes its
//!    steps, with at most one call each time, and gives the [`Task`]s that go on by themselves.
//! 5. [`Task::step`] does the same for a task.
//!
//! [`Memory::rebased`] makes one memory of those that differ only in when they were reached.

pub use super::execute::{Advance, Executor};
pub use super::memory::Memory;
pub use super::rebase::RunName;
pub use super::reconcile::Context;
pub use super::tasks::{End, Ended, Stage, Task, TaskKey};
