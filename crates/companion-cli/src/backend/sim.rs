//! The simulated host, prepared for a catalog.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use adapter_fake::FakeHost;
use adapter_systemd::{RenderedUnit, Scope};
use archipelago_companions::host::{Backend, HostError, Wiring};
use archipelago_companions::{Catalog, RecordStore};
use async_trait::async_trait;
use companion_core::model::companion::CompanionSpec;
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{Host, PortResult};
use quadlet::PodmanVersion;
use tempfile::TempDir;

use super::{CommandBackend, podman};
use crate::error::CommandError;

/// The simulated host of one process.
#[derive(Default)]
pub(crate) struct SimulatedHost {
    /// The usual state directory, created on demand and removed with the host.
    state: OnceLock<Option<TempDir>>,
}

impl SimulatedHost {
    fn state(&self) -> Option<&TempDir> {
        let create = || {
            let state = tempfile::Builder::new().prefix("companion-sim-").tempdir();
            state.inspect_err(|error| tracing::error!("failed to create a directory: {error}")).ok()
        };
        self.state.get_or_init(create).as_ref()
    }
}

#[async_trait]
impl Backend for SimulatedHost {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn state_dir(&self) -> Option<PathBuf> {
        self.state().map(|state| state.path().to_owned())
    }

    fn leader_dir(&self, state_dir: &Path) -> PortResult<PathBuf> {
        Ok(state_dir.join("leader"))
    }

    async fn open(&self, wiring: Wiring) -> Result<Host, HostError> {
        let Wiring { store, leadership, .. } = wiring;
        store.inputs().refresh();
        let host = host(&store.inputs().catalog()).ports();
        Ok(Host { desired: store, leadership, ..host })
    }

    /// Removes nothing: the files that the catalog names belong to the real host.
    async fn sweep(&self, _store: &RecordStore) -> PortResult<usize> {
        Ok(0)
    }
}

#[async_trait]
impl CommandBackend for SimulatedHost {
    fn description(&self) -> &'static str {
        "A simulated host in memory: it starts empty, runs on virtual time and ends with the command"
    }

    fn is_automatic(&self) -> bool {
        false
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn render(
        &self,
        unit: &UnitSpec,
        version: PodmanVersion,
    ) -> Result<RenderedUnit, CommandError> {
        podman::render(Scope::User, unit, version)
    }
}

/// Creates a healthy host with the prerequisites of the companions of `catalog`, but without the companions.
pub(crate) fn host(catalog: &Catalog) -> FakeHost {
    let host = FakeHost::default();
    for spec in catalog.companions() {
        furnish(&host, spec);
    }
    host
}

fn furnish(host: &FakeHost, spec: &CompanionSpec) {
    let context = spec.image.build.as_ref().and_then(|build| build.contexts.first());
    if let Some(context) = context {
        host.put_context(context, spec.name.as_str());
    }
    if let Some(pull) = &spec.image.pull {
        host.publish(&pull.reference, spec.name.as_str());
    }
    let rendered = spec.hook.as_ref().map(|hook| &hook.output);
    for mount in spec.container.mounts.iter().filter(|mount| Some(&mount.source) != rendered) {
        host.put_file(&mount.source);
    }
    if let Some(hook) = &spec.hook {
        furnish_hook(host, hook);
    }
}

fn furnish_hook(host: &FakeHost, hook: &HookSpec) {
    match &hook.program {
        HookProgram::Registered(name) => host.register_hook(name, "as first rendered"),
        HookProgram::Command { inputs, .. } => {
            inputs.iter().for_each(|input| host.put_input(input, "as first read"));
        }
        HookProgram::Template { template, values } => {
            host.put_input(template, "a template");
            for value in values.values() {
                if let TemplateValue::File(file) = value {
                    host.put_input(file, "as first read");
                }
            }
        }
    }
}
