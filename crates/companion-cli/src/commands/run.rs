//! `companion run`: the daemon. It leads, and reconciles until it receives SIGTERM.
//!
//! Companions belong to the service manager: they keep running when the daemon exits or crashes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use archipelago_companions::metrics::{Metrics, MetricsFile, MetricsSocket};
use clap::Args;
use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionName;
use companion_core::ports::PortError;
use companion_core::reconciler::{Reconcile, ReconcileError};
use companion_core::status::{Health, status};
use sd_notify::NotifyState;
use tokio::signal::unix::SignalKind;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::{Opening, signals};
use crate::output::Output;
use crate::runtime::block_on_in_real_time;

mod watchdog;

use watchdog::Watchdog;

/// Run the reconcile loop (daemon)
///
/// The daemon is the leader: other commands record intents and wait for it. It reconciles at startup,
/// when a unit, a service, a rendered file, an input of a hook, the desired state or a catalog file
/// changes, and at least every 30 s; it leaves alone what is as desired. It notifies systemd (Type=notify, WatchdogSec=). SIGTERM and SIGINT finish the
/// current reconcile and stop the daemon; the companions keep running. SIGHUP triggers a reconcile. Only
/// one process leads at a time: a second daemon exits with an error, and a daemon that starts while a
/// command leads waits for it.
///
/// Exit status: 0 after a signal, 1 if another daemon runs, 3 if a prerequisite is missing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion run                                  in a terminal; a service: companion setup
  companion run --resync 10                      look at everything every 10 s")]
pub(crate) struct Arguments {
    /// The full resync interval, 1 to 3600 seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    resync: u64,
    /// Write metrics for Prometheus to FILE after each reconcile (node-exporter's textfile collector reads *.prom)
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Answer HTTP requests for metrics on the Unix socket PATH
    #[arg(long, value_name = "PATH")]
    metrics_socket: Option<PathBuf>,
}

impl Arguments {
    /// Exports `metrics` as requested, until the returned tasks are dropped.
    async fn export(&self, metrics: &Metrics) -> CommandResult<JoinSet<()>> {
        let refuse = |error: PortError| CommandError::input(chain(&error));
        let mut tasks = JoinSet::new();
        if let Some(path) = &self.metrics_file {
            let (file, metrics) = (MetricsFile::new(path).map_err(refuse)?, metrics.clone());
            tasks.spawn(async move { file.keep(&metrics).await });
        }
        if let Some(path) = &self.metrics_socket {
            let socket = MetricsSocket::bind(path).await.map_err(refuse)?;
            let metrics = metrics.clone();
            tasks.spawn(async move { socket.serve(&metrics).await });
        }
        Ok(tasks)
    }
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let resync = Duration::from_secs(arguments.resync);
    block_on_in_real_time(async {
        let shutdown = CancellationToken::new();
        let metrics = Metrics::default();
        let _exported_until_the_end = arguments.export(&metrics).await?;
        let opening = Opening::new(config, "companion run").daemon(resync, metrics);
        let companions = opening.open(output).await?;
        listen(&shutdown, &companions.wake())?;
        let watchdog = Watchdog::start(companions.heartbeat());
        info!("companion {} started", env!("CARGO_PKG_VERSION"));
        let mut known = Known::default();
        let led = companions.run(resync, shutdown, |reconcile| {
            known.report(reconcile);
            if watchdog.ready() {
                notify(&[NotifyState::Ready]);
            }
        });
        led.await.map_err(|error| refused(&error))?;
        Ok(Verdict::Done)
    })
}

fn refused(error: &ReconcileError) -> CommandError {
    match error {
        ReconcileError::Led { by } => {
            CommandError::failure(format!("another daemon is the leader of this host: {by}"))
                .hinted(
                    "if it is the service, `systemctl --user status companion.service` shows it",
                )
        }
        ReconcileError::Leadership(_) | ReconcileError::Desired(_) => {
            CommandError::failure(chain(error))
        }
    }
}

/// Handles SIGTERM and SIGINT (shutdown) and SIGHUP (reconcile now).
fn listen(shutdown: &CancellationToken, wake: &Arc<Notify>) -> CommandResult<()> {
    let ended = shutdown.clone();
    let (mut terminate, mut interrupt) =
        (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!("received {name}, shutting down");
        notify(&[NotifyState::Stopping, NotifyState::Status("shutting down")]);
        ended.cancel();
    });
    let (mut hangup, wake) = (signals(SignalKind::hangup())?, Arc::clone(wake));
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            wake.notify_one();
        }
    });
    Ok(())
}

fn notify(state: &[NotifyState<'_>]) {
    // `notify` succeeds without systemd.
    if let Err(error) = sd_notify::notify(state) {
        warn!("failed to notify the service manager: {error}");
    }
}

/// The last reported state of the companions.
#[derive(Debug, Default)]
struct Known {
    health: BTreeMap<CompanionName, Health>,
    status: String,
}

impl Known {
    /// Logs changes, and sends a one-line status to systemd.
    fn report(&mut self, reconcile: &Result<Reconcile, ReconcileError>) {
        let text = match reconcile {
            Ok(reconcile) => self.changes(reconcile),
            Err(error) => error.chain(),
        };
        if text != self.status {
            notify(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }

    fn changes(&mut self, reconcile: &Reconcile) -> String {
        let companions = status(reconcile);
        let mut trouble = Vec::new();
        for companion in &companions {
            let (name, health, why) = (&companion.name, companion.health, &companion.why);
            if !health.is_healthy() {
                trouble.push(format!("{name} is {health}: {}", why.join("; ")));
            }
            if self.health.insert(name.clone(), health) == Some(health) {
                continue;
            }
            match health {
                Health::Ready => info!("{name} is ready"),
                Health::Progressing | Health::Removing => info!("{name} is {health}"),
                Health::Degraded | Health::Blocked | Health::Orphaned | Health::Unknown => {
                    warn!("{name} is {health}: {}", why.join("; "));
                }
            }
        }
        self.health.retain(|name, _| companions.iter().any(|status| status.name == *name));
        let ready = companions.len() - trouble.len();
        match trouble.first() {
            None => format!("{ready} companion(s), all ready"),
            Some(first) => format!("{ready} of {} companion(s) ready; {first}", companions.len()),
        }
    }
}
