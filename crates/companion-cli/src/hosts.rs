//! The host that a command works on: a real one, or the simulated one.

use std::sync::Arc;
use std::time::Duration;

use adapter_systemd::Scope;
use archipelago_companions::host::{PODMAN_FLOOR, reach, units};
use archipelago_companions::inputs::Inputs;
use archipelago_companions::leader::{Role, leader, leader_dir, take_over};
use archipelago_companions::published::Listener;
use archipelago_companions::{Companions, Options, RESYNC, RecordStore};
use companion_core::error_chain::chain;
use companion_core::ports::{DesiredStore as _, UnitStore as _};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, HostKind};
use crate::error::{CommandError, CommandResult};
use crate::output::Output;

pub(crate) mod sim;

/// The host and its companions during a command.
pub(crate) struct Session {
    /// The companions.
    pub(crate) companions: Companions,
    /// The state directory of the simulated host, removed with the session.
    _state: Option<tempfile::TempDir>,
}

/// The options for opening a session.
pub(crate) struct Opening<'c> {
    config: &'c Config,
    program: &'static str,
    role: Role,
    resync: Duration,
    listener: Listener,
}

impl<'c> Opening<'c> {
    /// Creates the options for the command `program`.
    pub(crate) fn new(config: &'c Config, program: &'static str) -> Self {
        let listener = Arc::new(|_: &_| {});
        Self { config, program, role: Role::Command, resync: RESYNC, listener }
    }

    /// Shows the steps on stderr.
    pub(crate) fn showing(self, output: &Output) -> Self {
        let progress = output.progress();
        Self { listener: Arc::new(move |event| progress.show(event)), ..self }
    }

    /// Opens the session for the daemon, with its resync interval.
    pub(crate) fn daemon(self, resync: Duration) -> Self {
        Self { role: Role::Daemon, resync, ..self }
    }

    /// Returns the options of a real host: the given ones, else those of the leader, if there is one.
    async fn options(&self, scope: Scope) -> CommandResult<Options> {
        let config = self.config;
        let leads = match self.role {
            Role::Command => leader(&leader_dir(scope)?).await?.filter(|leader| leader.pid != 0),
            Role::Daemon => None,
        };
        let given = config.settings()?;
        let (settings, state_dir) = match (leads, config.given_state_dir()) {
            (Some(leader), None) if given.is_none() => (leader.settings, leader.state_dir),
            (Some(leader), _) if given.is_none() => (leader.settings, config.state_dir(scope)?),
            (_, _) => (given.unwrap_or_default(), config.state_dir(scope)?),
        };
        Ok(self
            .usual(scope)
            .with_state_dir(state_dir)
            .with_settings(settings, crate::config::default_catalog(scope))
            .with_listener(Arc::clone(&self.listener)))
    }

    fn usual(&self, scope: Scope) -> Options {
        let options = Options::new(scope)
            .with_program(self.program, env!("CARGO_PKG_VERSION"), self.role)
            .with_resync(self.resync);
        #[cfg(feature = "crash-points")]
        let options = options.with_around(crate::crash_points::around);
        options
    }

    /// Returns the desired state and its inputs, without a host.
    pub(crate) async fn store(&self) -> CommandResult<Arc<RecordStore>> {
        match self.config.host {
            HostKind::Real(scope) => Ok(self.options(scope).await?.store()?),
            HostKind::Sim => {
                let settings = self.config.settings()?.unwrap_or_default();
                let dir = self.config.given_state_dir().map(std::path::absolute).transpose();
                let dir = dir.ok().flatten().unwrap_or_default();
                let default = crate::config::default_catalog(Scope::User);
                let inputs = Inputs::new(settings, default, dir.clone());
                Ok(Arc::new(RecordStore::with_inputs(dir, Arc::new(inputs))))
            }
        }
    }

    /// Connects to the host.
    ///
    /// # Errors
    /// Fails if a prerequisite is missing; nothing is recorded then.
    pub(crate) async fn open(self, output: &Output) -> CommandResult<Session> {
        match self.config.host {
            HostKind::Real(scope) => {
                if self.config.takes_over() {
                    end_hung_leader(scope, output).await?;
                }
                let companions = self.options(scope).await?.connect().await?;
                Ok(Session { companions, _state: None })
            }
            HostKind::Sim => self.open_simulated(output).await,
        }
    }

    /// Opens a session for a read-only command. Returns `None` if nothing was ever recorded and the host has no
    /// managed unit; this check needs neither Podman nor a state directory.
    pub(crate) async fn open_to_look(self, output: &Output) -> CommandResult<Option<Session>> {
        if let HostKind::Real(scope) = self.config.host {
            let _reached = reach(scope).await?;
            if is_untouched(scope, &*self.store().await?).await? {
                return Ok(None);
            }
        }
        self.open(output).await.map(Some)
    }

    async fn open_simulated(self, output: &Output) -> CommandResult<Session> {
        let catalog = self.config.catalog()?;
        output.note("this is the simulated host: it starts empty and ends with the command");
        let state = tempfile::Builder::new().prefix("companion-sim-").tempdir();
        let state = state.map_err(|error| {
            CommandError::failure(format!("failed to create a directory: {error}"))
        })?;
        let dir = self.config.given_state_dir().unwrap_or_else(|| state.path());
        let dir = std::path::absolute(dir).map_err(|error| {
            CommandError::input(format!("`--state-dir {}`: {error}", dir.display()))
        })?;
        let place = dir.join("leader");
        if self.role == Role::Command
            && let Some(leader) = leader(&place).await?
        {
            let message = format!("{leader} uses this state directory for another simulated host");
            return Err(
                CommandError::input(message).hinted("each process has a separate simulated host")
            );
        }
        let host = sim::host(&catalog).ports();
        let settings = self.config.settings()?.unwrap_or_default();
        let default = crate::config::default_catalog(Scope::User);
        let inputs = Arc::new(Inputs::new(settings, default, &dir));
        let store = Arc::new(RecordStore::with_inputs(&dir, inputs));
        let options = self.usual(Scope::User).with_listener(self.listener);
        let companions = options.on(store, host, place);
        Ok(Session { companions, _state: Some(state) })
    }
}

impl Session {
    /// Runs `work` until it ends or SIGINT or SIGTERM arrives; then stops the started work gracefully.
    ///
    /// # Errors
    /// The error of `work`, or the interruption and whether the intent is recorded.
    pub(crate) async fn unless_interrupted<T>(
        &self,
        intent: IntentIs,
        work: impl Future<Output = CommandResult<T>>,
    ) -> CommandResult<T> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CommandError::failure(format!("failed to listen for signals: {error}"))
            })
        };
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let result = tokio::select! {
            result = work => result,
            _ = interrupt.recv() => Err(intent.interrupted()),
            _ = terminate.recv() => Err(intent.interrupted()),
        };
        if result.is_err() {
            // Also after a failure: the work may still be running.
            self.companions.stop_leading().await;
        }
        result
    }
}

/// Whether the intent of a command is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntentIs {
    /// Not yet, or being recorded.
    Pending,
    /// Recorded.
    Recorded,
    /// The command has no intent.
    None,
}

impl IntentIs {
    fn interrupted(self) -> CommandError {
        match self {
            Self::Pending => CommandError::failure("interrupted; the intent may not be recorded")
                .hinted("`companion status` shows the recorded companions"),
            Self::Recorded => CommandError::failure("interrupted; the intent is recorded")
                .hinted("the daemon continues if it runs; otherwise run `companion reconcile`"),
            Self::None => CommandError::failure("interrupted"),
        }
    }
}

/// Kills a leader that hangs, for `--take-over`.
async fn end_hung_leader(scope: Scope, output: &Output) -> CommandResult<()> {
    match take_over(&leader_dir(scope)?).await {
        Ok(None) => {}
        Ok(Some(leader)) => {
            output.note(format!("killed {leader}, which did not respond; companions keep running"));
        }
        Err(error) => return Err(CommandError::failure(chain(&error))),
    }
    Ok(())
}

/// Returns whether nothing was ever recorded and no unit is managed.
async fn is_untouched(scope: Scope, store: &RecordStore) -> CommandResult<bool> {
    let desired = store.load().await?;
    if !desired.targets.is_empty() {
        return Ok(false);
    }
    // The version affects the content of units, not their ownership.
    Ok(units(scope, PODMAN_FLOOR)?.list().await?.is_empty())
}

#[cfg(test)]
mod tests {
    use archipelago_companions::Catalog;
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn interruption_reports_whether_the_intent_is_recorded() {
        let (catalog, state) = (Catalog::builtin(), tempfile::tempdir().unwrap());
        let host = sim::host(&catalog).ports();
        let store = Arc::new(RecordStore::new(state.path(), Arc::new(catalog)));
        let session = Session { companions: Companions::on(store, host), _state: Some(state) };
        for (intent, message) in [
            (IntentIs::Pending, "interrupted; the intent may not be recorded"),
            (IntentIs::Recorded, "interrupted; the intent is recorded"),
            (IntentIs::None, "interrupted"),
        ] {
            let work = async {
                // The work starts after the signal handlers are installed.
                kill_process(getpid(), Signal::INT).unwrap();
                std::future::pending::<CommandResult<()>>().await
            };
            let error = session.unless_interrupted(intent, work).await.unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
