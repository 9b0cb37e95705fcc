//! The `companion` command, which aborts itself at the crash point that `COMPANION_ABORT_AT` names.
//!
//! `companion-crash-points crash-points` prints the crash points, one per line; any other command line is one of
//! `companion`.

#![expect(clippy::print_stdout, reason = "the list is its output")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use adapter_systemd::{RenderedUnit, Scope, UnloadableUnits};
use archipelago_companions::host::{Backend, HostError, Wiring};
use archipelago_companions::{Catalog, RecordStore};
use async_trait::async_trait;
use companion_cli::{
    CommandBackend, CommandError, Finding, LogQuery, PodmanVersion, backends, main_with,
};
use companion_core::model::companion::CompanionName;
use companion_core::model::image::ImageSource;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{Host, PortResult};

mod crash_point;
mod ports;

fn main() -> ExitCode {
    if std::env::args().skip(1).eq(["crash-points"]) {
        ports::points().for_each(|point| println!("{point}"));
        return ExitCode::SUCCESS;
    }
    let _first = durable_dir::AT_POINT.set(crash_point::reached);
    let crashing = |backend| Arc::new(Crashing(backend)) as Arc<dyn CommandBackend>;
    main_with(backends().into_iter().map(crashing).collect())
}

/// A backend whose ports have crash points.
struct Crashing(Arc<dyn CommandBackend>);

#[async_trait]
impl Backend for Crashing {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn state_dir(&self) -> Option<PathBuf> {
        self.0.state_dir()
    }

    fn leader_dir(&self, state_dir: &Path) -> PortResult<PathBuf> {
        self.0.leader_dir(state_dir)
    }

    async fn reach(&self) -> Result<(), HostError> {
        self.0.reach().await
    }

    async fn open(&self, wiring: Wiring) -> Result<Host, HostError> {
        Ok(ports::around(self.0.open(wiring).await?))
    }

    async fn sweep(&self, store: &RecordStore) -> PortResult<usize> {
        self.0.sweep(store).await
    }

    async fn remove_images(&self, sources: &[ImageSource]) -> PortResult<usize> {
        self.0.remove_images(sources).await
    }

    async fn settled(&self) {
        self.0.settled().await;
    }
}

#[async_trait]
impl CommandBackend for Crashing {
    fn description(&self) -> &'static str {
        self.0.description()
    }

    fn is_automatic(&self) -> bool {
        self.0.is_automatic()
    }

    fn is_simulated(&self) -> bool {
        self.0.is_simulated()
    }

    fn daemon_scope(&self) -> Option<Scope> {
        self.0.daemon_scope()
    }

    fn default_catalog(&self) -> Option<PathBuf> {
        self.0.default_catalog()
    }

    async fn has_units(&self) -> Result<bool, CommandError> {
        self.0.has_units().await
    }

    async fn doctor(&self, catalog: &Catalog) -> Vec<Finding> {
        self.0.doctor(catalog).await
    }

    async fn unloadable(&self) -> Result<UnloadableUnits, CommandError> {
        self.0.unloadable().await
    }

    fn log_command(&self, query: &LogQuery) -> Result<Command, CommandError> {
        self.0.log_command(query)
    }

    fn unit_text(&self, name: &CompanionName) -> Result<Option<String>, CommandError> {
        self.0.unit_text(name)
    }

    async fn rendered_for(&self) -> Result<PodmanVersion, CommandError> {
        self.0.rendered_for().await
    }

    fn render(
        &self,
        unit: &UnitSpec,
        version: PodmanVersion,
    ) -> Result<RenderedUnit, CommandError> {
        self.0.render(unit, version)
    }
}
