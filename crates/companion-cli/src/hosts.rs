//! Opening the host that a command works on.

use std::path::PathBuf;
use std::sync::Arc;

use archipelago_companions::leader::{LeaderInfo, Role, leader, take_over};
use archipelago_companions::{Catalog, Companions, Options, RecordStore};
use companion_core::error_chain::chain;
use companion_core::ports::DesiredStore as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;
use crate::error::{CommandError, CommandResult};
use crate::output::{Output, Progress};

/// Returns the options for the host of a process with `role`: the given settings and directory; what a command is not given
/// is taken from the leader, if there is one.
async fn options(config: &Config, role: Role) -> CommandResult<Options> {
    let given = config.settings();
    let leader = match role {
        Role::Command if !config.host.is_simulated() => {
            leader_of(config).await?.filter(|leader| leader.pid != 0)
        }
        Role::Command | Role::Daemon => None,
    };
    let state_dir = match &leader {
        Some(leader) if config.global.state_dir.is_none() => leader.state_dir.clone(),
        _ => config.state_dir()?,
    };
    let settings = given.or(leader.map(|leader| leader.settings)).unwrap_or_default();
    Ok(Options::on(Arc::clone(&config.host) as _)
        .with_program(&config.global.program, env!("CARGO_PKG_VERSION"), role)
        .with_state_dir(state_dir)
        .with_settings(settings, config.host.default_catalog()))
}

/// Returns the desired state and its inputs, without a host.
pub(crate) async fn store(config: &Config) -> CommandResult<Arc<RecordStore>> {
    Ok(options(config, Role::Command).await?.store()?)
}

/// Reads the catalog of `store` again.
///
/// # Errors
/// Bad input for an invalid catalog.
pub(crate) fn valid_catalog(store: &RecordStore) -> CommandResult<Arc<Catalog>> {
    match store.inputs().refresh().problem {
        None => Ok(store.inputs().catalog()),
        Some(problem) => Err(problem.into()),
    }
}

/// Connects to the host for a command, and shows the steps on stderr.
///
/// # Errors
/// Fails if a prerequisite is missing; nothing is recorded then.
pub(crate) async fn open(config: &Config, output: &Output) -> CommandResult<Companions> {
    // Read before `prepare`: the settings and the state directory of a leader that `--take-over` kills stay in force.
    let options = options(config, Role::Command).await?;
    prepare(config, output).await?;
    if config.host.is_simulated()
        && let Some(leader) = leader_of(config).await?
    {
        let message = format!("{leader} uses this state directory for another simulated host");
        let error = CommandError::input(message);
        return Err(error.hinted("each process has a separate simulated host"));
    }
    let progress = Progress::default();
    Ok(options.with_listener(Arc::new(move |event| progress.show(event))).connect().await?)
}

/// Opens the host for a read-only command. Returns `None` if nothing was ever recorded and the host has no
/// managed unit; this check needs neither Podman nor a state directory.
pub(crate) async fn open_to_look(
    config: &Config,
    output: &Output,
) -> CommandResult<Option<Companions>> {
    if !config.host.is_simulated() {
        config.host.reach().await?;
        let desired = store(config).await?.load().await?;
        if desired.targets.is_empty() && !config.host.has_units().await? {
            return Ok(None);
        }
    }
    open(config, output).await.map(Some)
}

/// Connects to the host for the daemon, with further options.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_for_daemon(
    config: &Config,
    output: &Output,
    further: impl FnOnce(Options) -> Options,
) -> CommandResult<Companions> {
    prepare(config, output).await?;
    Ok(further(options(config, Role::Daemon).await?).connect().await?)
}

/// Announces the simulated host, which is made for a valid catalog; else kills a leader that hangs, for `--take-over`.
async fn prepare(config: &Config, output: &Output) -> CommandResult<()> {
    if config.host.is_simulated() {
        config.catalog()?;
        output.note("this is the simulated host: it starts empty and ends with the command");
    } else if config.global.take_over
        && let Some(place) = leader_place(config)?
    {
        let killed = take_over(&place).await;
        if let Some(leader) = killed.map_err(|error| CommandError::failure(chain(&error)))? {
            output.note(format!("killed {leader}, which did not respond; companions keep running"));
        }
    }
    Ok(())
}

/// Runs `work` until it ends or SIGINT or SIGTERM arrives; then stops the started work gracefully.
///
/// # Errors
/// The error of `work`, or `interrupted`.
pub(crate) async fn unless_interrupted<T, E: Into<CommandError>>(
    companions: &Companions,
    interrupted: CommandError,
    work: impl Future<Output = Result<T, E>>,
) -> CommandResult<T> {
    let mut interrupt = signals(SignalKind::interrupt())?;
    let mut terminate = signals(SignalKind::terminate())?;
    let result = tokio::select! {
        result = work => result.map_err(Into::into),
        _ = interrupt.recv() => Err(interrupted),
        _ = terminate.recv() => Err(interrupted),
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

/// Returns the leader, which says where its state is.
pub(crate) async fn leader_of(config: &Config) -> CommandResult<Option<LeaderInfo>> {
    Ok(match leader_place(config)? {
        Some(place) => leader(&place).await?,
        None => None,
    })
}

/// Returns the directory of the leader's lock; `None` for a host that keeps the lock in a state directory that it does not
/// have.
fn leader_place(config: &Config) -> CommandResult<Option<PathBuf>> {
    let own = config.state_dir().unwrap_or_default();
    Ok(Some(config.host.leader_dir(&own)?).filter(|place| place.is_absolute()))
}
