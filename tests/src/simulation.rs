//! The harness of all simulations: a fake host on virtual time, the manager and the commands on it, and the [checks].
//!
//! The properties, the soak and the crash plans run the same [`ManagedHost`]: its manager converges on request, or
//! a supervisor runs it. What is checked meanwhile is up to each of them.

#![expect(clippy::panic, reason = "a test fails if there is no runtime")]

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::FakeHost;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::ports::PortResult;
use companion_core::reconciler::{Convergence, Reconcile, ReconcileError, Reconciler};
use companion_core::supervisor::Supervisor;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub mod checks;

use crate::faults::{End, Fault};
use checks::Verdict;

/// The bound of all waiting: longer than the longest timeout of a call.
pub const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// A single-threaded runtime with a paused clock, whose time passes only while all tasks wait.
///
/// # Panics
/// If there is none.
pub fn virtual_time() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    runtime.unwrap_or_else(|error| panic!("{error}"))
}

/// Makes the reconciler of a process on a host.
pub type Wiring = Box<dyn Fn(&FakeHost) -> Arc<Reconciler>>;

/// Gets each reconcile of a supervisor.
pub type Saw = Arc<dyn Fn(&Result<Reconcile, ReconcileError>) + Send + Sync>;

/// What a command asks for.
#[derive(Debug, Clone)]
pub enum Intent {
    /// That this companion runs.
    Install(Box<CompanionSpec>),
    /// That nothing of it is left.
    Remove(CompanionName),
}

impl Intent {
    /// The companion.
    pub fn name(&self) -> &CompanionName {
        match self {
            Self::Install(spec) => &spec.name,
            Self::Remove(name) => name,
        }
    }

    /// Records it durably, or not at all.
    ///
    /// # Errors
    /// If the disk does not accept it.
    pub async fn record(&self, host: &FakeHost) -> PortResult<()> {
        let recorded = match self {
            Self::Install(spec) => host.record_install(spec).await,
            Self::Remove(name) => host.record_removal(name).await,
        };
        recorded.map(drop)
    }
}

/// A fake host with its manager.
pub struct ManagedHost {
    /// The host, as the manager sees it.
    pub host: FakeHost,
    /// The manager.
    pub manager: Arc<Reconciler>,
    wiring: Wiring,
    saw: Option<Saw>,
    daemon: Option<Daemon>,
}

impl ManagedHost {
    /// A manager on `host` that converges on request.
    pub fn new(host: FakeHost, wiring: Wiring) -> Self {
        let manager = wiring(&host);
        Self { host, manager, wiring, saw: None, daemon: None }
    }

    /// Runs the manager, and each later one, under a supervisor.
    #[must_use]
    pub fn supervised(self, saw: Saw) -> Self {
        let daemon = Daemon::start(&self.host, Arc::clone(&self.manager), Arc::clone(&saw));
        Self { saw: Some(saw), daemon: Some(daemon), ..self }
    }

    /// Whether managers run under a supervisor.
    pub fn is_supervised(&self) -> bool {
        self.saw.is_some()
    }

    /// Whether a supervisor runs the manager now.
    pub fn is_running(&self) -> bool {
        self.daemon.is_some()
    }

    /// Starts a manager without memory.
    pub fn start(&mut self) {
        self.manager = (self.wiring)(&self.host);
        let saw = self.saw.as_ref().map(Arc::clone);
        self.daemon = saw.map(|saw| Daemon::start(&self.host, Arc::clone(&self.manager), saw));
    }

    /// Ends the manager in that way, together with the work that it started.
    ///
    /// # Errors
    /// If its supervisor does not end, or panicked.
    pub async fn end(&mut self, end: End) -> Verdict {
        match self.daemon.take() {
            Some(daemon) => daemon.end(end).await,
            None => {
                self.manager.shut_down().await;
                Ok(())
            }
        }
    }

    /// Applies `fault` to the companion of `spec`. If it ends managers, another one is started afterwards.
    ///
    /// # Errors
    /// As [`end`](Self::end).
    pub async fn apply(&mut self, fault: Fault, spec: &CompanionSpec) -> Verdict {
        let Some(end) = fault.ends_managers() else {
            fault.apply(&self.host, spec);
            return Ok(());
        };
        self.end(end).await?;
        fault.apply(&self.host, spec);
        self.start();
        Ok(())
    }

    /// The reconciler of another process, which sees the host as `host`.
    pub fn process(&self, host: &FakeHost) -> Arc<Reconciler> {
        (self.wiring)(host)
    }

    /// A whole command, which sees the host as `host`: it records `intent` and, unless another process leads, leads until
    /// that is done.
    ///
    /// # Errors
    /// If the intent was not recorded.
    pub async fn request(
        &self,
        host: &FakeHost,
        intent: &Intent,
    ) -> PortResult<Result<Convergence, ReconcileError>> {
        intent.record(host).await?;
        let process = self.process(host);
        let convergence = process.converge_for(Some(&[intent.name().clone()].into())).await;
        process.shut_down().await;
        Ok(convergence)
    }
}

/// A running supervisor; dropping it kills it.
struct Daemon {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    manager: Arc<Reconciler>,
}

impl Daemon {
    fn start(host: &FakeHost, manager: Arc<Reconciler>, saw: Saw) -> Self {
        let shutdown = CancellationToken::new();
        let supervisor = Supervisor::new(Arc::clone(&manager));
        host.report_tampering();
        let task = tokio::spawn(supervisor.run(shutdown.clone(), move |reconcile| saw(reconcile)));
        Self { shutdown, task, manager }
    }

    async fn end(mut self, end: End) -> Verdict {
        match end {
            End::ShutDown => self.shutdown.cancel(),
            End::Killed => self.task.abort(),
        }
        let ended = tokio::time::timeout(LONGEST, &mut self.task).await;
        self.manager.shut_down().await;
        match ended {
            Err(_) => Err("the supervisor does not end".to_owned()),
            Ok(Err(error)) if error.is_panic() => Err(format!("the supervisor panicked: {error}")),
            Ok(_) => Ok(()),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.task.abort();
    }
}
