//! How a host program connects: the scope, and what differs from the usual.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use adapter_podman::Podman;
use adapter_systemd::Scope;
use companion_core::ports::Host;
use companion_core::reconciler::EventSink;
use companion_core::supervisor::RESYNC;

use super::{Companions, Real};
use crate::catalog::Catalog;
use crate::desired_store::RecordStore;
use crate::host::{self, HostError};
use crate::inputs::Inputs;
use crate::leader::{Heartbeat, LeaderInfo, LeaderLock, Role, Settings, leader_dir};
use crate::published::Listener;

/// How to connect to this very host.
#[derive(Clone)]
#[must_use = "nothing is connected before `connect`"]
pub struct Options {
    scope: Scope,
    program: String,
    version: String,
    role: Role,
    state_dir: Option<PathBuf>,
    settings: Settings,
    default_catalog: Option<PathBuf>,
    catalog: Option<Arc<Catalog>>,
    listener: Option<Listener>,
    resync: Duration,
    around: fn(Host) -> Host,
}

impl Options {
    /// The usual options: a program that runs for long, with the state directory of `scope` and
    /// Archipelago's own companions.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            program: "archipelago".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: Role::Daemon,
            state_dir: None,
            settings: Settings::default(),
            default_catalog: None,
            catalog: None,
            listener: None,
            resync: RESYNC,
            around: |host| host,
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

    /// Who is shown each event at once. It must return at once.
    pub fn with_listener(self, listener: Listener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// How often everything is looked at when nothing happens; the heartbeat is measured against it.
    pub fn with_resync(self, resync: Duration) -> Self {
        Self { resync, ..self }
    }

    /// Puts something between the reconciler and the host.
    pub fn with_around(self, around: fn(Host) -> Host) -> Self {
        Self { around, ..self }
    }

    /// The state directory.
    ///
    /// # Errors
    /// [`HostError::NoHome`].
    pub fn state_dir(&self) -> Result<PathBuf, HostError> {
        self.state_dir.clone().or_else(|| host::state_dir(self.scope)).ok_or(HostError::NoHome)
    }

    /// The desired state, without a host.
    ///
    /// # Errors
    /// [`HostError::NoHome`].
    pub fn store(&self) -> Result<Arc<RecordStore>, HostError> {
        let dir = self.state_dir()?;
        let inputs = match &self.catalog {
            Some(catalog) => Inputs::fixed(Arc::clone(catalog)),
            None => Inputs::new(self.settings.clone(), self.default_catalog.clone(), dir.clone()),
        };
        Ok(Arc::new(RecordStore::with_inputs(dir, Arc::new(inputs))))
    }

    /// Connects: systemd and Podman of the scope, with the desired state in the state directory.
    ///
    /// # Errors
    /// [`HostError`] saying what the host lacks.
    pub async fn connect(self) -> Result<Companions, HostError> {
        let store = self.store()?;
        let lock = self.lock(leader_dir(self.scope).map_err(HostError::Leadership)?, &store);
        let (scope, podman) = (self.scope, Podman::from_environment());
        let leadership = Arc::clone(&lock) as _;
        let host = host::connect(scope, Arc::clone(&store), podman.clone(), leadership).await?;
        let mut companions = self.wired(store, host, lock);
        companions.real = Some(Real { scope, podman });
        Ok(companions)
    }

    /// Companions of `store`'s desired state on a `host` of other ports, with the lock of its leader in the
    /// directory `place`.
    pub fn on(self, store: Arc<RecordStore>, host: Host, place: PathBuf) -> Companions {
        let lock = self.lock(place, &store);
        let (leadership, desired) = (Arc::clone(&lock) as _, Arc::clone(&store) as _);
        self.wired(store, Host { leadership, desired, ..host }, lock)
    }

    fn lock(&self, place: PathBuf, store: &RecordStore) -> Arc<LeaderLock> {
        let Self { program, version, role, .. } = self;
        let settings = store.inputs().settings().clone();
        let info = LeaderInfo::of_this_process(program, *role, version, store.dir(), settings);
        Arc::new(LeaderLock::new(place, info, Arc::new(Heartbeat::new(self.resync))))
    }

    fn wired(self, store: Arc<RecordStore>, host: Host, lock: Arc<LeaderLock>) -> Companions {
        let sinks: Vec<Arc<dyn EventSink>> = vec![lock.heartbeat()];
        let host = (self.around)(host);
        let info = lock.info().clone();
        let mut companions = Companions::wired(store, host, info, self.listener, sinks);
        companions.lock = Some(lock);
        companions
    }
}
