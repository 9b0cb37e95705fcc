//! The life-cycle logic of companions, and the ports to a host.
//!
//! ```text
//!  catalog ──► CompanionSpec ──► DesiredState ─┐
//!                                              ├─► plan(desired, observed, now) ─► Plan ─► execute ─► effects
//!  host ─ reading halves of the ports ─► ObservedState ─┘    pure, synchronous, total    one Action = one port call
//!    ▲                                                                                        │
//!    └──────────────── next reconcile, until the plan is empty or blocked ◄───────────────────────┘
//! ```
//!
//! Every port has reads and writes: `observe` calls only reads, `execute` only writes, `plan` neither. Each
//! reconcile derives the plan from the observed state and resumes nothing; a failed read is unknown, never
//! absent; every step and every blocked step has a reason.
//!
//! In reading order:
//!
//! | module | contains |
//! |---|---|
//! | [`model`] | the data types: names, specifications, states, the revision |
//! | [`ports`] | the interfaces to a host: `UnitStore`, `ServiceManager`, `ImageProvider`, `HookRunner`, and two more |
//! | [`plan`](mod@plan) | the plan: steps with reasons, and blocking conditions |
//! | [`planner`] | the steps for each observed state |
//! | [`check`](mod@check) | invariants of a plan, independent of the planner |
//! | [`memory`] | what a reconciler remembers between reconciles |
//! | [`reconciler`] | when to observe again, and what runs concurrently |
//! | [`supervisor`] | the reconcile loop and its intervals |
//! | [`status`](mod@status) | the status that people and programs read |
//! | [`root_cause`] | known errors in the last log lines of a failed run |
//! | [`error_chain`] | the text of an error with its sources |
//!
//! [`ports`], [`reconciler`] and [`supervisor`] are in this crate, which does no IO: it accesses the host through
//! the ports and time through the runtime's clock. All other modules are pure and come from `companion-model`,
//! which has no runtime among its dependencies.

pub use companion_model::{check, error_chain, memory, model, plan, planner, root_cause, status};

pub mod ports;
pub mod reconciler;
pub mod supervisor;
