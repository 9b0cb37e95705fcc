//! Contract suites, scenarios and properties over every adapter.

pub mod contract;
pub mod node;
