//! The pure part of the companions: data types, planner, plan checker and status.
//!
//! Every function computes from its arguments. This crate does no IO, reads no clock, logs nothing and has no
//! `async` function; its dependencies have no runtime. `companion-core` re-exports its modules, and adds the
//! ports to a host and the reconciler.
//!
//! In reading order:
//!
//! | module | contains |
//! |---|---|
//! | [`model`] | the data types: names, specifications, states, the revision |
//! | [`plan`](mod@plan) | the plan: steps with reasons, and blocking conditions |
//! | [`planner`] | the steps for each observed state |
//! | [`check`](mod@check) | invariants of a plan, independent of the planner |
//! | [`reconcile`] | the record of a reconcile: what was desired, observed, planned and done |
//! | [`memory`] | what a reconciler remembers between reconciles |
//! | [`status`](mod@status) | the status that people and programs read |
//! | [`root_cause`] | known errors in the last log lines of a failed run |
//! | [`error_chain`] | the text of an error with its sources |

pub mod check;
pub mod error_chain;
pub mod memory;
pub mod model;
pub mod plan;
pub mod planner;
pub mod reconcile;
pub mod root_cause;
pub mod status;
