//! Tests a custom adapter for conformance: containers in a dictionary.
//!
//! `cargo run -p companion-conformance --example own_adapter [CASE]`

#![expect(clippy::print_stdout, clippy::expect_used, reason = "an example shows what it does")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use companion_conformance::container_runtime::{self, ContainerWorld};
use companion_conformance::{Entry, HostWorld, Options, Trait};
use companion_core::model::companion::CompanionName;
use companion_core::model::host::HostTraits;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerRuntime, PortError, PortErrorKind, PortResult};

/// The adapter. Clones have the same containers.
#[derive(Clone, Default)]
struct Containers(Arc<Mutex<BTreeMap<CompanionName, ContainerState>>>);

impl Containers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<CompanionName, ContainerState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, name: &CompanionName, status: &str) {
        self.all().insert(name.clone(), ContainerState::Ours { status: status.to_owned() });
    }
}

#[async_trait]
impl ContainerRuntime for Containers {
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ContainerState>> {
        let all = self.all();
        let read = |name: &CompanionName| {
            let state = all.get(name).cloned().unwrap_or(ContainerState::Absent);
            (name.clone(), Ok(state))
        };
        names.iter().map(read).collect()
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let mut all = self.all();
        if let Some(ContainerState::Unmanaged { what }) = all.get(name) {
            let message = format!("container `{name}` is unmanaged: it is {what}");
            return Err(PortError::new(PortErrorKind::Conflict, message));
        }
        all.remove(name);
        Ok(())
    }
}

/// What the host has: it has no services, so it needs no trait of one.
impl HostWorld for Containers {
    fn traits(&self) -> BTreeSet<Trait> {
        Trait::of(HostTraits::NONE, &[])
    }
}

/// The world: changes the host for the suite.
#[async_trait]
impl ContainerWorld for Containers {
    fn containers(&self) -> Arc<dyn ContainerRuntime> {
        Arc::new(self.clone())
    }

    fn name(&self, number: u8) -> CompanionName {
        CompanionName::new(format!("companion-{number}")).expect("the name is valid")
    }

    async fn run_ours(&self, name: &CompanionName) {
        self.put(name, "running");
    }

    async fn leave_ours(&self, name: &CompanionName) {
        self.put(name, "exited");
    }

    async fn run_unmanaged(&self, name: &CompanionName) {
        let what = "a container of image registry.example/other:1".to_owned();
        self.all().insert(name.clone(), ContainerState::Unmanaged { what });
    }

    async fn pause(&self, name: &CompanionName) {
        self.put(name, "paused");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let only = std::env::args().nth(1);
    let on_end = |case: &Entry| println!("{case}");
    let options = Options { only: only.as_deref(), on_end, ..Options::default() };
    let report = container_runtime::check(&options, async || Containers::default()).await;
    // In a test: every case holds, except those that this world cannot arrange.
    report.assert_held_but_for(&[
        "a_container_that_cannot_be_read_hides_no_other",
        "without_a_container_host_reading_is_unavailable",
    ]);
}
