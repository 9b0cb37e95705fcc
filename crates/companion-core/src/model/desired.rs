//! The desired state: what is to exist, what is to be gone, and since which generation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::companion::{CompanionName, CompanionSpec};
use super::hook::HookSpec;

/// A number that grows with every wish that is recorded for a companion.
///
/// An effect that was planned for an older one is not carried out: that is how a tick which began
/// before a removal cannot undo it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// A companion that is to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredCompanion {
    /// What it is to be.
    pub spec: CompanionSpec,
    /// When that was last wished for.
    pub generation: Generation,
}

/// A companion that was wished away, and of which nothing is to be left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedCompanion {
    /// When that was wished for.
    pub generation: Generation,
    /// The hook whose rendered file goes too, if it is still known.
    pub hook: Option<HookSpec>,
}

/// What is to exist and what is to be gone. What is in neither is nobody's wish, and left alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DesiredState {
    /// The companions that are to exist.
    pub companions: BTreeMap<CompanionName, DesiredCompanion>,
    /// The companions that are to be gone; a name is never in both.
    pub removed: BTreeMap<CompanionName, RemovedCompanion>,
}

impl DesiredState {
    /// The generation of what is wished for `name`, whichever way.
    pub fn generation(&self, name: &CompanionName) -> Option<Generation> {
        let wanted = self
            .companions
            .get(name)
            .map(|companion| companion.generation);
        wanted.or_else(|| self.removed.get(name).map(|companion| companion.generation))
    }
}
