//! `LeaderLock` in a temporary directory.

use std::sync::Arc;

use archipelago_companions::RESYNC;
use archipelago_companions::leader::{Heartbeat, LeaderInfo, LeaderLock, Role, Settings};
use companion_conformance::HostWorld;
use companion_conformance::leadership::LeadershipWorld;
use companion_core::ports::Leadership;

pub(crate) struct Lock {
    place: tempfile::TempDir,
}

impl Lock {
    pub(crate) fn new() -> Self {
        Self { place: tempfile::tempdir().unwrap() }
    }

    /// A process with the state directory `state`.
    fn process(&self, state: &str) -> Arc<dyn Leadership> {
        let settings = Settings::default();
        let info = LeaderInfo::of_this_process("a test", Role::Command, "1", state, settings);
        let heartbeat = Arc::new(Heartbeat::new(RESYNC));
        Arc::new(LeaderLock::new(self.place.path().join("companion"), info, heartbeat))
    }
}

impl HostWorld for Lock {}

impl LeadershipWorld for Lock {
    fn leadership(&self) -> Arc<dyn Leadership> {
        self.process("/state")
    }
    fn another(&self) -> Arc<dyn Leadership> {
        self.process("/another/state")
    }
}
