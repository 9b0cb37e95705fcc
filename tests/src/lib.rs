//! Scenarios and properties over every adapter.

pub mod node;
