//! A strict simulated host that implements every port.
//!
//! [`World`] is the host as plain data: unit files, loaded units, services, and all transition rules. It is
//! pure; each method takes the current time. [`FakeHost`] adds a clock, faults, a journal and gates, and
//! implements the ports.
//!
//! It is as strict as a real host, and records actions that no caller may do as a [`Violation`].

mod clock;
mod container_runtime;
mod desired_store;
mod events;
pub mod faults;
mod hook_runner;
mod host;
mod image_provider;
pub mod journal;
mod leadership;
mod reads;
mod service_manager;
mod tampering;
mod unit_store;
pub mod world;

pub use events::Delivery;
pub use faults::{BeforeSync, EffectPoint, Fault, Gate, Mode, Stage};
pub use host::FakeHost;
pub use journal::{Call, Counts, Journal, Method, Port};
pub use world::World;
pub use world::violations::{Violation, ViolationKind};

#[cfg(test)]
mod tests;
