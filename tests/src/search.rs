//! The exhaustive search: every order in which the calls of a leader, intents, faults, tampering and
//! changes of the leader can follow each other within stated bounds, on the real parts of the reconciler
//! and the real fake.
//!
//! A move is one call of a port, with one exception: a reconcile reads the record and looks in one move. An
//! intent that comes between these two calls is one that comes after both; people and the service
//! manager could come between two reads, and do so here before or after. Time passes only between
//! reconciles, while no task has anything to do: what hangs or comes late, the properties have. Nobody acts
//! here who does not lead: that a second process is refused is shown by the scenarios and the properties.
//!
//! There is no second model. A state is the fake's world and, for the leader, what its reconciler
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
