//! The life-cycle logic of companions and the ports it is run through.
//!
//! ```text
//!  catalog ──► CompanionSpec ──► DesiredState ─┐
//!                                              ├─► plan(desired, observed, now) ─► Plan ─► execute ─► effects
//!  host ─ reading halves of the ports ─► ObservedState ─┘    pure, synchronous, total    one Action = one port call
//!    ▲                                                                                        │
//!    └──────────────── next reconcile, until the plan is empty or blocked ◄───────────────────────┘
//! ```
//!
//! Every port has a reading half and an acting half: `observe` calls only the first, `execute` only the
//! second, `plan` neither. Nothing is resumed, everything is inferred again; what could not be observed
//! is not taken for absent; and every step and every non-step says why.
//!
//! In reading order:
//!
//! | module | decides |
//! |---|---|
//! | [`model`] | what can be said at all: names, specifications, states, the revision |
//! | [`ports`] | what a host is asked: `UnitStore`, `ServiceManager`, `ImageProvider`, `HookRunner`, and two more |
//! | [`plan`](mod@plan) | what a decision is: steps with reasons, and what is waited on |
//! | [`planner`] | what each finding leads to |
//! | [`check`](mod@check) | whether a plan keeps the rules, independently of the planner |
//! | [`reconciler`] | when to look again, and what runs beside what |
//! | [`supervisor`] | how often, for how long |
//! | [`status`](mod@status) | what of it is told to people |
//! | [`root_cause`] | what the last log lines of a failed run mean |
//!
//! [`model`], [`plan`](mod@plan), [`planner`], [`check`](mod@check), [`status`](mod@status) and [`root_cause`] are pure.
//! This crate does no IO: it reaches the host through the ports, and time through the runtime's clock.

pub mod check;
pub mod model;
pub mod plan;
pub mod planner;
pub mod ports;
pub mod reconciler;
pub mod root_cause;
pub mod status;
pub mod supervisor;
