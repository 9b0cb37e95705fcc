//! The host of a soak: ten companions of three kinds, addressed by number.

use std::time::Duration;

use adapter_fake::FakeHost;
use companion_core::model::companion::CompanionSpec;

use crate::node::{called, indexer, prepare, running_since, viewer, wallet};

/// Number of companions.
pub(super) const COMPANIONS: usize = 10;

/// The host and its companions.
#[derive(Debug, Clone)]
pub(super) struct Companions {
    pub(super) host: FakeHost,
    specs: Vec<CompanionSpec>,
}

impl Companions {
    /// A host with all companions desired and none installed.
    pub(super) fn new() -> Self {
        let host = FakeHost::default();
        let specs: Vec<_> = (0..COMPANIONS).map(companion).collect();
        prepare(&host, &specs);
        for spec in &specs {
            host.install(spec);
        }
        Self { host, specs }
    }

    /// The specification of the companion `at`, modulo their number.
    pub(super) fn spec(&self, at: usize) -> CompanionSpec {
        self.specs.get(at % COMPANIONS).cloned().unwrap_or_else(viewer)
    }

    /// The start time of each companion, if it runs.
    pub(super) fn running_since(&self) -> Vec<Option<Duration>> {
        let world = self.host.world();
        self.specs.iter().map(|spec| running_since(&world, &spec.name)).collect()
    }
}

fn companion(number: usize) -> CompanionSpec {
    let kind = match number % 3 {
        0 => viewer(),
        1 => wallet(),
        _ => indexer(),
    };
    let base = format!("{}-{number}", kind.name);
    called(kind, &base)
}
