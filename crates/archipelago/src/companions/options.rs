//! How a host program connects: the backend, and what differs from the usual.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use adapter_hooks::ConfigHook;
use companion_core::model::hook::HookName;
use companion_core::supervisor::RESYNC;

use super::Companions;
use crate::catalog::Catalog;
use crate::desired_store::RecordStore;
use crate::host::{Backend, HostError, Wiring};
use crate::inputs::Inputs;
use crate::leader::{Heartbeat, LeaderInfo, LeaderLock, Role, Settings};
use crate::metrics::Metrics;
use crate::published::{Listener, Publisher};

/// How to connect to a host.
#[derive(Clone)]
#[must_use = "nothing is connected before `connect`"]
pub struct Options {
    backend: Arc<dyn Backend>,
    program: String,
    version: String,
    role: Role,
    state_dir: Option<PathBuf>,
    settings: Settings,
    default_catalog: Option<PathBuf>,
    catalog: Option<Arc<Catalog>>,
    listener: Option<Listener>,
    metrics: Metrics,
    hooks: Vec<(HookName, Arc<dyn ConfigHook>)>,
    resync: Duration,
}

impl Options {
    /// The usual options: a program that runs for long, with the state directory of `backend` and
    /// Archipelago's own companions.
    pub fn new(backend: impl Backend + 'static) -> Self {
        Self::on(Arc::new(backend))
    }

    /// Same as [`new`](Self::new), for a backend that others use too.
    pub fn on(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            program: "archipelago".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: Role::Daemon,
            state_dir: None,
            settings: Settings::default(),
            default_catalog: None,
            catalog: None,
            listener: None,
            metrics: Metrics::default(),
            hooks: Vec::new(),
            resync: RESYNC,
        }
    }

    /// The name and the version of the program, and for how long it leads.
    pub fn with_program(
        self,
        name: impl Into<String>,
        version: impl Into<String>,
        role: Role,
    ) -> Self {
        Self { program: name.into(), version: version.into(), role, ..self }
    }

    /// Another state directory.
    pub fn with_state_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: Some(dir.into()), ..self }
    }

    /// A catalog of the program's own, which never changes.
    pub fn with_catalog(self, catalog: Catalog) -> Self {
        Self { catalog: Some(Arc::new(catalog)), ..self }
    }

    /// Catalog files and options, read again whenever a file changes; the file at `default_catalog` is
    /// read when `settings` name none, if it exists.
    pub fn with_settings(self, settings: Settings, default_catalog: Option<PathBuf>) -> Self {
        Self { settings, default_catalog, catalog: None, ..self }
    }

    /// The receiver of each event. It must return immediately.
    pub fn with_listener(self, listener: Listener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// How often everything is looked at when nothing happens; the heartbeat is measured against it.
    pub fn with_resync(self, resync: Duration) -> Self {
        Self { resync, ..self }
    }

    /// Counts in `metrics` what is done while this process leads.
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// A hook of the program's own, for companions whose catalog entry names it.
    pub fn with_hook(mut self, name: HookName, hook: impl ConfigHook + 'static) -> Self {
        self.hooks.push((name, Arc::new(hook)));
        self
    }

    /// The state directory.
    ///
    /// # Errors
    /// [`HostError::Prerequisite`] without a home directory.
    pub fn state_dir(&self) -> Result<PathBuf, HostError> {
        let dir = self.state_dir.clone().or_else(|| self.backend.state_dir());
        dir.ok_or_else(|| HostError::Prerequisite {
            message: "neither `XDG_STATE_HOME` nor `HOME` is an absolute path".to_owned(),
            source: None,
        })
    }

    /// The desired state, without a host.
    ///
    /// # Errors
    /// [`HostError::Prerequisite`] without a home directory.
    pub fn store(&self) -> Result<Arc<RecordStore>, HostError> {
        let dir = self.state_dir()?;
        let inputs = match &self.catalog {
            Some(catalog) => Inputs::fixed(Arc::clone(catalog)),
            None => Inputs::new(self.settings.clone(), self.default_catalog.clone(), dir.clone()),
        };
        Ok(Arc::new(RecordStore::with_inputs(dir, Arc::new(inputs))))
    }

    /// Connects: the backend's host, with the desired state in the state directory.
    ///
    /// # Errors
    /// [`HostError`] saying what is missing on the host.
    pub async fn connect(self) -> Result<Companions, HostError> {
        let store = self.store()?;
        let Self { backend, program, version, role, hooks, listener, metrics, .. } = self;
        let place = backend.leader_dir(store.dir()).map_err(|error| {
            HostError::prerequisite("failed to find the directory of the leader's lock", error)
        })?;
        let settings = store.inputs().settings().clone();
        let leader = LeaderInfo::of_this_process(program, role, version, store.dir(), settings);
        let heartbeat = Arc::new(Heartbeat::new(self.resync));
        let lock = LeaderLock::new(place.clone(), leader.clone(), Arc::clone(&heartbeat));
        let wake = lock.wake();
        let wiring = Wiring { store: Arc::clone(&store), leadership: Arc::new(lock), hooks };
        let host = backend.open(wiring).await?;
        let publisher = Publisher::new(Arc::clone(&store), leader, heartbeat, listener, metrics);
        let (leader_dir, backend) = (Some(place), Some(backend));
        Ok(Companions { wake, leader_dir, backend, ..Companions::wired(store, host, publisher) })
    }
}
