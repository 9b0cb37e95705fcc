//! Opening the host that a command works on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use archipelago_companions::leader::{Role, leader, take_over};
use archipelago_companions::metrics::Metrics;
use archipelago_companions::published::Listener;
use archipelago_companions::{Companions, Options, RESYNC, RecordStore};
use companion_core::error_chain::chain;
use companion_core::ports::DesiredStore as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::backend::CommandBackend;
use crate::config::Config;
use crate::error::{CommandError, CommandResult};
use crate::output::Output;

/// The options for opening the host of a command.
pub(crate) struct Opening<'c> {
    config: &'c Config,
    program: &'static str,
    role: Role,
    resync: Duration,
    listener: Listener,
    metrics: Metrics,
}

impl<'c> Opening<'c> {
    /// Creates the options for the command `program`.
    pub(crate) fn new(config: &'c Config, program: &'static str) -> Self {
        let listener = Arc::new(|_: &_| {});
        Self {
            config,
            program,
            role: Role::Command,
            resync: RESYNC,
            listener,
            metrics: Metrics::default(),
        }
    }

    /// Shows the steps on stderr.
    pub(crate) fn showing(self, output: &Output) -> Self {
        let progress = output.progress();
        Self { listener: Arc::new(move |event| progress.show(event)), ..self }
    }

    /// Opens the host for the daemon, with its resync interval; what is done is counted in `metrics`.
    pub(crate) fn daemon(self, resync: Duration, metrics: Metrics) -> Self {
        Self { role: Role::Daemon, resync, metrics, ..self }
    }

    /// Returns the options of the host: the given ones, else those of the leader, if there is one.
    async fn options(&self) -> CommandResult<Options> {
        let config = self.config;
        let leads = match self.role {
            Role::Command if !config.host.is_simulated() => match leader_place(config)? {
                Some(place) => leader(&place).await?.filter(|leader| leader.pid != 0),
                None => None,
            },
            Role::Command | Role::Daemon => None,
        };
        let given = config.settings()?;
        let (settings, state_dir) = match (leads, config.given_state_dir()) {
            (Some(leader), None) if given.is_none() => (leader.settings, leader.state_dir),
            (Some(leader), _) if given.is_none() => (leader.settings, config.state_dir()?),
            (_, _) => (given.unwrap_or_default(), config.state_dir()?),
        };
        let host: Arc<dyn CommandBackend> = Arc::clone(&config.host);
        Ok(Options::on(host)
            .with_program(self.program, env!("CARGO_PKG_VERSION"), self.role)
            .with_resync(self.resync)
            .with_state_dir(state_dir)
            .with_settings(settings, config.host.default_catalog())
            .with_listener(Arc::clone(&self.listener))
            .with_metrics(self.metrics.clone()))
    }

    /// Returns the desired state and its inputs, without a host.
    pub(crate) async fn store(&self) -> CommandResult<Arc<RecordStore>> {
        Ok(self.options().await?.store()?)
    }

    /// Connects to the host.
    ///
    /// # Errors
    /// Fails if a prerequisite is missing; nothing is recorded then.
    pub(crate) async fn open(self, output: &Output) -> CommandResult<Companions> {
        if self.config.host.is_simulated() {
            self.announce_simulation(output).await?;
        } else if self.config.takes_over() {
            end_hung_leader(self.config, output).await?;
        }
        Ok(self.options().await?.connect().await?)
    }

    /// Opens the host for a read-only command. Returns `None` if nothing was ever recorded and the host has no
    /// managed unit; this check needs neither Podman nor a state directory.
    pub(crate) async fn open_to_look(self, output: &Output) -> CommandResult<Option<Companions>> {
        let host = &self.config.host;
        if !host.is_simulated() {
            host.reach().await?;
            let desired = self.store().await?.load().await?;
            if desired.targets.is_empty() && !host.has_units().await? {
                return Ok(None);
            }
        }
        self.open(output).await.map(Some)
    }

    /// Checks the catalog that the simulated host is made for, and that no other one uses its state directory.
    async fn announce_simulation(&self, output: &Output) -> CommandResult<()> {
        let config = self.config;
        config.catalog()?;
        output.note("this is the simulated host: it starts empty and ends with the command");
        let place = config.host.leader_dir(&config.state_dir()?)?;
        if self.role == Role::Command
            && let Some(leader) = leader(&place).await?
        {
            let message = format!("{leader} uses this state directory for another simulated host");
            return Err(
                CommandError::input(message).hinted("each process has a separate simulated host")
            );
        }
        Ok(())
    }
}

/// Runs `work` until it ends or SIGINT or SIGTERM arrives; then stops the started work gracefully.
///
/// # Errors
/// The error of `work`, or the interruption and whether the intent is recorded.
pub(crate) async fn unless_interrupted<T>(
    companions: &Companions,
    intent: IntentIs,
    work: impl Future<Output = CommandResult<T>>,
) -> CommandResult<T> {
    let mut interrupt = signals(SignalKind::interrupt())?;
    let mut terminate = signals(SignalKind::terminate())?;
    let result = tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Err(intent.interrupted()),
        _ = terminate.recv() => Err(intent.interrupted()),
    };
    if result.is_err() {
        // Also after a failure: the work may still be running.
        companions.stop_leading().await;
    }
    result
}

/// Starts to listen for signals of `kind`, which then no longer end this process.
pub(crate) fn signals(kind: SignalKind) -> CommandResult<Signal> {
    signal(kind)
        .map_err(|error| CommandError::failure(format!("failed to listen for signals: {error}")))
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

/// Returns the directory of the leader's lock, which says where the leader's state is; `None` for a host that keeps the
/// lock in a state directory that it does not have.
pub(crate) fn leader_place(config: &Config) -> CommandResult<Option<PathBuf>> {
    let own = config.state_dir().unwrap_or_default();
    Ok(Some(config.host.leader_dir(&own)?).filter(|place| place.is_absolute()))
}

/// Kills a leader that hangs, for `--take-over`.
async fn end_hung_leader(config: &Config, output: &Output) -> CommandResult<()> {
    let Some(place) = leader_place(config)? else { return Ok(()) };
    match take_over(&place).await {
        Ok(None) => {}
        Ok(Some(leader)) => {
            output.note(format!("killed {leader}, which did not respond; companions keep running"));
        }
        Err(error) => return Err(CommandError::failure(chain(&error))),
    }
    Ok(())
}

#[cfg(all(test, feature = "demo"))]
mod tests {
    use archipelago_companions::Catalog;
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn interruption_reports_whether_the_intent_is_recorded() {
        let (catalog, state) = (Catalog::builtin(), tempfile::tempdir().unwrap());
        let host = crate::backend::sim::host(&catalog).ports();
        let store = Arc::new(RecordStore::new(state.path(), Arc::new(catalog)));
        let companions = Companions::on(store, host);
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
            let error = unless_interrupted(&companions, intent, work).await.unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
