//! The inputs of a process besides the host: its catalog and its options.
//!
//! Two processes on one host may have different inputs and derive different desired states from one record.

use std::fmt;
use std::sync::Arc;

use companion_core::model::companion::CompanionSpec;

use crate::host::FakeHost;
use crate::world::desired::Specs;

/// Maps a recorded specification to the one that a process desires.
#[derive(Clone)]
pub struct Inputs(Arc<dyn Fn(CompanionSpec) -> CompanionSpec + Send + Sync>);

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inputs")
    }
}

impl Default for Inputs {
    fn default() -> Self {
        Self::new(|spec| spec)
    }
}

impl Inputs {
    /// Returns inputs that map recorded specifications with `change`.
    pub fn new(change: impl Fn(CompanionSpec) -> CompanionSpec + Send + Sync + 'static) -> Self {
        Self(Arc::new(change))
    }

    /// Returns the desired specification for `recorded`.
    pub fn desire(&self, recorded: CompanionSpec) -> CompanionSpec {
        (self.0)(recorded)
    }
}

impl FakeHost {
    /// Returns a handle to the same host for a process with other inputs.
    #[must_use]
    pub fn deciding_with(&self, inputs: Inputs) -> Self {
        Self { inputs, ..self.clone() }
    }

    /// Returns all recorded specifications as a process with these inputs desires them.
    pub fn specs(&self) -> Specs {
        self.state().specs.desired_with(&self.inputs)
    }
}
