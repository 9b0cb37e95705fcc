//! Scenarios and properties across all adapters.

pub mod crashes;
pub mod faults;
pub mod node;
pub mod random;
pub mod search;
pub mod simulation;
pub mod soak;
pub mod sources;
