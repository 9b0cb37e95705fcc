//! The exhaustive search: every order in which the calls of two actors, faults, tampering and wishes
//! can follow each other within stated bounds, on the real parts of the reconciler and the real fake.
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
