//! The setting of a search: the companions, their versions, the initial host, and the faults.

use std::time::Duration;

use adapter_fake::World;
use adapter_fake::world::conditions::Delays;
use companion_core::model::companion::{CompanionName, CompanionSpec};

use crate::faults::Fault;
use crate::node::{Node, indexer, other_version, viewer, wallet};

/// The clock time of every state of a search. Older timestamps make no difference: the longest lookback is the
/// interval of the start limit, 10 s.
pub const ORIGIN: Duration = Duration::from_secs(30);

/// The companions of a search, each in two versions.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The names, in order.
    pub names: Vec<CompanionName>,
    versions: Vec<[CompanionSpec; 2]>,
    delays: Delays,
}

impl Setup {
    /// The first `companions` of: one with a hook and a build, one that is only pulled, one that is built and
    /// publishes a port. Services start and stop immediately, or slowly.
    pub fn new(companions: usize, slow_services: bool) -> Self {
        let first = [viewer(), indexer(), wallet()];
        let versions = first.into_iter().take(companions).map(|spec| {
            let second = other_version(spec.clone());
            [spec, second]
        });
        let versions: Vec<_> = versions.collect();
        let names = versions.iter().map(|[spec, _]| spec.name.clone()).collect();
        let Delays { start, stop, .. } = Delays::default();
        let mut delays = Delays::none();
        if slow_services {
            (delays.start, delays.stop) = (start, stop);
        }
        Self { names, versions, delays }
    }

    /// Version `version`, 0 or 1, of the companion at `at`.
    pub fn spec(&self, at: usize, version: usize) -> &CompanionSpec {
        &self.versions[at][version]
    }

    /// The host with everything that the companions need, and no desired companion.
    pub fn world(&self) -> World {
        let mut world = Node::new().host.world();
        world.delays = self.delays;
        world
    }
}

/// The faults of a search: every one whose repair differs from that of the others, and their counterparts.
pub const FAULTS: &[Fault] = &[
    Fault::UnitEdited,
    Fault::UnitSpoilt,
    Fault::UnitExposed,
    Fault::RendererChanged,
    Fault::UnitDeleted,
    Fault::UnitTruncated,
    Fault::UnitUnmanaged,
    Fault::UnitMasked,
    Fault::UnitUnmasked,
    Fault::UnitShadowed,
    Fault::UnitUnshadowed,
    Fault::Reloaded,
    Fault::ContainerKilled,
    Fault::ContainerRemoved,
    Fault::ContainerPaused,
    Fault::ContainerUnmanaged,
    Fault::ContainerLeft,
    Fault::ServiceStopped,
    Fault::CrashLoop,
    Fault::ProgramRestored,
    Fault::ConfigDeleted,
    Fault::LinkDeleted,
    Fault::ConfigEdited,
    Fault::ConfigReadable,
    Fault::ConfigWritable,
    Fault::CredentialsRotated,
    Fault::InputLost,
    Fault::InputRestored,
    Fault::ImageRemoved,
    Fault::ContextChanged,
    Fault::RegistryDown,
    Fault::RegistryUp,
    Fault::RecordLost,
];
