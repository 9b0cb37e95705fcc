//! The exhaustive search: every order in which the moves of two actors, faults, tampering and wishes
//! can follow each other within stated bounds, on the real parts of the reconciler and the real fake.
//!
//! A move is one call of a port, with these exceptions. A round takes the lock, reads the record and
//! looks in one move, and a task that commits takes the lock, checks, compares, commits and frees it in
//! one. Nobody can come between any two of these calls who needs the lock; people and the service
//! manager could, and do so here before or after. Time passes only between rounds, while no task has
//! anything to do: what hangs or comes late, the properties have. Rounds are given the lock by the
//! search, so that nobody acts without it is not shown here but by the scenarios and the properties.
//!
//! There is no second model. A state is the fake's world and, for each actor, what its reconciler
//! remembers and what it is doing between two calls of a port. [`moves`] says what can happen next,
//! [`next`] what comes of it, [`oracle`] whether it does harm, [`liveness`] whether a host that is left
//! alone from there becomes what it should be; [`breadth`] goes through all of it, each state once.
//! [`tables`] begin from states that no order of calls may ever lead to.

pub mod breadth;
pub mod host;
pub mod liveness;
pub mod moves;
pub mod next;
pub mod oracle;
pub mod reached;
pub mod scene;
pub mod state;
pub mod tables;
