//! What a process decides with besides the host: its catalog and its options.
//!
//! Two processes on one host may have read different ones. Each turns what is recorded into what it
//! desires.

use std::fmt;
use std::sync::Arc;

use companion_core::model::companion::CompanionSpec;

use crate::host::FakeHost;
use crate::world::desired::Specs;

/// Turns the specification that is recorded into the one that a process desires.
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
    /// Inputs by which `change` is desired of what is recorded.
    pub fn new(change: impl Fn(CompanionSpec) -> CompanionSpec + Send + Sync + 'static) -> Self {
        Self(Arc::new(change))
    }

    /// What is desired where `recorded` is recorded.
    pub fn desire(&self, recorded: CompanionSpec) -> CompanionSpec {
        (self.0)(recorded)
    }
}

impl FakeHost {
    /// The same host as a process with other inputs uses it.
    #[must_use]
    pub fn deciding_with(&self, inputs: Inputs) -> Self {
        Self { inputs, ..self.clone() }
    }

    /// The specifications that were ever recorded, as a process with these inputs desires them.
    pub fn specs(&self) -> Specs {
        self.state().specs.desired_with(&self.inputs)
    }
}
