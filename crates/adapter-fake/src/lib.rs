//! One strict in-memory host behind every port.
//!
//! [`World`] is the host as plain data: what lies in the unit directory, what the service manager
//! loaded, what runs, and every rule by which one becomes the other. It is pure; each method is
//! told what time it is. [`FakeHost`] puts a clock, faults, a journal and gates around one world and
//! implements the ports on it.
//!
//! It is as strict as the host it stands for: what a real one refuses, forgets or does by itself is
//! refused, forgotten and done here too, and what no caller should ever do is kept as a
//! [`Violation`].

mod clock;
mod container_runtime;
mod desired_store;
mod events;
pub mod faults;
mod hook_runner;
mod host;
mod image_provider;
mod inputs;
pub mod journal;
mod leadership;
mod reads;
mod service_manager;
mod tampering;
mod unit_store;
pub mod world;

pub use events::Delivery;
pub use faults::{EffectPoint, Fault, Gate, Mode, Stage};
pub use host::FakeHost;
pub use inputs::Inputs;
pub use journal::{Call, Counts, Journal, Method, Port};
pub use world::World;
pub use world::violations::{Violation, ViolationKind};

#[cfg(test)]
mod tests;
