//! `SystemdManager`: the port `ServiceManager` over D-Bus. Makes no decision about what it reads, with one exception:
//! it skips a reload that would drop managed units. It starts the generator for this check, and `journalctl` for the
//! log of a failed run.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::log::LogTail;
use companion_core::model::service::{ServiceState, Verb};
use companion_core::ports::{Hint, Job, PortError, PortErrorKind, PortResult, ServiceManager};
use host_files::watch::{Changes, Place, Watch};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::bus::Bus;
use crate::error::{BusError, shown};
use crate::journal::Journal;
use crate::processes::KernelFiles;
use crate::reload_check;
use crate::scope::Scope;
use crate::unit_store::QuadletDir;

mod job_end;
mod memory;
mod reading;

use memory::Memory;
pub(crate) use reading::properties;

/// The first pause before another attempt to connect; each further one is twice as long.
const RECONNECT: Duration = Duration::from_millis(500);

/// Time limits for systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a connection and for the reply to any call but a reload: 25 s, the default of D-Bus libraries.
    pub call: Duration,
    /// For a reload, which runs every generator of the host, each for at most 90 s (systemd.generator(7)): 120 s.
    pub reload: Duration,
    /// For a start job; should exceed the unit's own `TimeoutStartSec=`: 150 s.
    pub start: Duration,
    /// For a stop job; should exceed the unit's own `TimeoutStopSec=`: 120 s.
    pub stop: Duration,
    /// Poll interval for a job whose end has not been announced: 2 s.
    pub poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(25),
            reload: Duration::from_secs(120),
            start: Duration::from_secs(150),
            stop: Duration::from_secs(120),
            poll: Duration::from_secs(2),
        }
    }
}

/// The systemd of a scope.
///
/// Connects on first use, and again after the connection broke; creating one never fails.
#[derive(Debug)]
pub struct SystemdManager {
    bus: Bus,
    limits: Limits,
    files: KernelFiles,
    journal: Journal,
    /// The units that a reload must not lose.
    units: PortResult<QuadletDir>,
    /// Serialises reloads: Podman's generator before 6.0 writes its output in place, and two concurrent runs leave a
    /// mixed unit behind (podman issue 29004).
    reloading: Mutex<()>,
    memory: StdMutex<Memory>,
    /// Watches whether containers are frozen or ended.
    groups: Watch,
}

impl SystemdManager {
    /// Creates the manager of `scope` with the default limits.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self::with_limits(scope, Limits::default())
    }

    /// Creates the manager of `scope` with `limits`.
    #[must_use]
    pub fn with_limits(scope: Scope, limits: Limits) -> Self {
        let bus = Bus::at(scope.bus_addresses(), limits.call);
        let files = KernelFiles::default();
        Self::over(bus, limits, files, Journal::of(scope), reload_check::units_of(scope))
    }

    /// Uses `units`, which must be the host's unit store, instead of the scope's own directory. The manager
    /// recognizes managed units by it, and protects them during a reload with its generator.
    /// Clones of the unit store share its host facts.
    #[must_use]
    pub fn with_units(self, units: QuadletDir) -> Self {
        Self { units: Ok(units), ..self }
    }

    fn over(
        bus: Bus,
        limits: Limits,
        files: KernelFiles,
        journal: Journal,
        units: PortResult<QuadletDir>,
    ) -> Self {
        Self {
            bus,
            limits,
            files,
            journal,
            units,
            reloading: Mutex::new(()),
            memory: StdMutex::default(),
            groups: Watch::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an observed unit changed or a job of it ended, whoever queued it, or the connection broke.
    async fn unit_changed(&self) -> Hint {
        let (mut pause, mut was_down) = (RECONNECT, false);
        let session = loop {
            match self.bus.session().await {
                Ok(_) if was_down => return Hint::All,
                Ok(session) => break session,
                Err(error) => {
                    tracing::debug!(%error, "waiting for a connection to systemd");
                    was_down = true;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(self.limits.call);
                }
            }
        };
        tokio::select! {
            // A connection that breaks may have lost a change.
            () = session.closed() => Hint::All,
            hint = self.bus.units().changed() => hint,
        }
    }

    /// Waits until a container of a running service was frozen or ended.
    async fn container_changed(&self) -> Hint {
        loop {
            let of = self.memory().event_files();
            let places = of.keys().filter_map(|file| Place::kernel_file(file)).collect();
            let Changes::Files(files) = self.groups.changed(places).await else {
                return Hint::All;
            };
            // A file of no known service: the service was read since, and does not run.
            let names: BTreeSet<_> =
                files.iter().filter_map(|file| of.get(file)).cloned().collect();
            if !names.is_empty() {
                return Hint::Companions(names);
            }
        }
    }
}

#[async_trait]
impl ServiceManager for SystemdManager {
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ServiceState>> {
        let units = match &self.units {
            Ok(units) => units,
            Err(error) => return error.clone().for_each(names),
        };
        match reading::service_states(self, units, names).await {
            Ok(states) => states
                .into_iter()
                .map(|(name, state)| {
                    let attempt = format_args!("read the state of `{name}.service`");
                    let state = state.map_err(|error| error.during(attempt));
                    (name, state)
                })
                .collect(),
            Err(error) => error.during("read the states of the services").for_each(names),
        }
    }

    async fn log_tails(
        &self,
        ended: &BTreeMap<CompanionName, ServiceState>,
    ) -> BTreeMap<CompanionName, PortResult<LogTail>> {
        self.journal.tails(ended).await
    }

    async fn reload(&self) -> PortResult<()> {
        let _one_at_a_time = self.reloading.lock().await;
        reload_check::hold_back_a_loss(self.units.as_ref().map_err(Clone::clone)?).await?;
        let reloaded = async {
            let session = self.bus.session().await?;
            let manager = session.manager().await?;
            let _own = self.bus.units().own_reload();
            within(self.limits.reload, manager.reload()).await
        };
        reloaded.await.map_err(|error: BusError| error.during("reload the service manager"))
    }

    async fn begin(&self, name: &CompanionName, verb: Verb) -> PortResult<Job> {
        let unit = service_name(name);
        let queued = async {
            // The session listens before the call, so a job that ends before the reply is not lost.
            let session = self.bus.session().await?;
            let manager = session.manager().await?;
            // "replace": cancels a conflicting queued job, and isolates or ignores nothing.
            let call = async {
                match verb {
                    Verb::Start => manager.start_unit(&unit, "replace").await,
                    Verb::Stop => manager.stop_unit(&unit, "replace").await,
                    Verb::Restart => manager.restart_unit(&unit, "replace").await,
                }
            };
            within(self.limits.call, call).await
        };
        let path = queued
            .await
            .map_err(|error: BusError| error.during(format_args!("{verb} `{unit}`")))?;
        Ok(Job { id: format!("{verb} {path}"), companion: name.clone() })
    }

    async fn wait(&self, job: Job) -> PortResult<()> {
        let Some((verb, path)) = parse_id(&job.id) else {
            let text = format!("`{}` is not a systemd job", job.id.escape_debug());
            return Err(PortError::new(PortErrorKind::Invalid, text));
        };
        let limit = match verb {
            Verb::Start => self.limits.start,
            Verb::Stop => self.limits.stop,
            Verb::Restart => self.limits.stop.saturating_add(self.limits.start),
        };
        let awaited = job_end::AwaitedJob { verb, path, unit: service_name(&job.companion) };
        let deadline = Instant::now() + limit;
        let end = awaited.end(&self.bus, self.limits, deadline).await;
        let result = end.map_err(|error| error.during(format_args!("wait for {job}")))?;
        match result.as_str() {
            "done" | "canceled" | "skipped" => Ok(()),
            // The journal has the reason: the next reconcile reads it.
            result => {
                let unit = awaited.unit;
                let text = format!("job for `{unit}` finished with result `{}`", shown(result));
                Err(PortError::new(PortErrorKind::Transient, text))
            }
        }
    }

    /// systemd announces each change of a unit, also that a job of it ended that systemd itself or an operator queued; the
    /// kernel announces when a container is frozen.
    async fn changed(&self) -> Hint {
        tokio::select! {
            hint = self.unit_changed() => hint,
            hint = self.container_changed() => hint,
        }
    }

    async fn reset_failed(&self, name: &CompanionName) -> PortResult<()> {
        let unit = service_name(name);
        let reset = async {
            let session = self.bus.session().await?;
            let manager = session.manager().await?;
            within(self.limits.call, manager.reset_failed_unit(&unit)).await
        };
        match reset.await {
            Err(BusError::Refused { name, .. })
                if name == "org.freedesktop.systemd1.NoSuchUnit" =>
            {
                Ok(())
            }
            other => other.map_err(|error| error.during(format_args!("reset `{unit}`"))),
        }
    }
}

/// Returns the unit that Quadlet generates from `<name>.container` (podman-systemd.unit(5)).
fn service_name(name: &CompanionName) -> String {
    format!("{name}.service")
}

/// Parses a job's ID: its verb and its object's path.
fn parse_id(id: &str) -> Option<(Verb, String)> {
    let (word, path) = id.split_once(' ')?;
    let verb = match word {
        "start" => Verb::Start,
        "stop" => Verb::Stop,
        "restart" => Verb::Restart,
        _ => return None,
    };
    zbus::ObjectPath::try_from(path).ok()?;
    Some((verb, path.to_owned()))
}

/// Waits at most `limit` for a reply.
async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, BusError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(BusError::TimedOut(limit)),
    }
}

#[cfg(test)]
mod tests;
