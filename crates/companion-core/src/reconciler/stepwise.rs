//! The parts that a round is made of, for those who stop between any two calls of a port.
//!
//! [`Reconciler`](super::Reconciler) runs these parts one after the other; nothing else of it decides
//! anything. Between two calls all its state is plain data, so a search can copy it, and go on from
//! each copy in another way:
//!
//! 1. The leader reads the desired state, by the ports of [`Host`](crate::ports::Host).
//! 2. Tasks that are [`outdated`](Memory::outdated) are dropped, and those that ended are
//!    [caught up with](Memory::catch_up).
//! 3. [`Round::look`](super::Round::look) observes and plans; [`Memory::learn`] takes over what that
//!    shows. [`Round::restrict_to`](super::Round::restrict_to) leaves to another round what was not
//!    asked for.
//! 4. [`Round::executor`](super::Round::executor) carries out the plan: [`Executor::step`] takes its
//!    steps, with at most one call each time, and gives the [`Task`]s that go on by themselves.
//! 5. [`Task::step`] does the same for a task.
//!
//! [`Memory::rebased`] makes one memory of those that differ only in when they were reached.

pub use super::execute::{Advance, Executor};
pub use super::memory::Memory;
pub use super::rebase::RunName;
pub use super::round::Context;
pub use super::tasks::{End, Ended, Stage, Task, TaskKey};
