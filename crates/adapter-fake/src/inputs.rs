//! What a process decides with besides the host: its catalog and its options.
//!
//! Two processes on one host may have read different ones. Each turns what is recorded into what it
//! desires.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use companion_core::model::companion::CompanionSpec;
use companion_core::model::desired::{DesiredCompanion, DesiredState};

use crate::host::FakeHost;

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

    pub(crate) fn with_inputs(&self, recorded: DesiredState) -> DesiredState {
        let DesiredState { latest, companions, removed } = recorded;
        let companions: BTreeMap<_, _> = companions
            .into_iter()
            .map(|(name, companion)| {
                let generation = companion.generation();
                let spec = self.inputs.desire(companion.spec().clone());
                (name, DesiredCompanion::new(spec, generation))
            })
            .collect();
        DesiredState { latest, companions, removed }
    }
}
