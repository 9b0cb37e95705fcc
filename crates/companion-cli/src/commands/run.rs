//! `companion run`: the daemon. It leads, and reconciles until it receives SIGTERM.
//!
//! Companions belong to the service manager: they keep running when the daemon exits or crashes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use archipelago_companions::leader::Heartbeat;
use archipelago_companions::metrics::{Metrics, MetricsFile, MetricsSocket};
use archipelago_companions::published::{EventKind, EventRecord};
use clap::Args;
use companion_core::error_chain::chain;
use companion_core::ports::PortError;
use companion_core::reconciler::{Reconcile, ReconcileError};
use companion_core::status::status;
use sd_notify::NotifyState;
use tokio::signal::unix::SignalKind;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::arguments::absolute_path;
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::{open_for_daemon, signals};
use crate::output::Output;

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
    #[arg(long, value_name = "FILE", value_parser = absolute_path())]
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
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let resync = Duration::from_secs(arguments.resync);
    let shutdown = CancellationToken::new();
    let metrics = Metrics::default();
    let _exported_until_the_end = arguments.export(&metrics).await?;
    let companions = open_for_daemon(config, output, |options| {
        let options = options.with_resync(resync).with_metrics(metrics);
        options.with_listener(Arc::new(log_state))
    });
    let companions = companions.await?;
    listen(&shutdown, companions.wake())?;
    let ready = Arc::new(AtomicBool::new(false));
    if let Some(limit) = sd_notify::watchdog_enabled() {
        tokio::spawn(feed_watchdog(limit, companions.heartbeat(), Arc::clone(&ready)));
    }
    info!("companion {} started", env!("CARGO_PKG_VERSION"));
    let mut last = String::new();
    let led = companions.run(resync, shutdown, |reconcile| {
        let text = summary(reconcile);
        if text != last {
            notify(&[NotifyState::Status(&text)]);
            last = text;
        }
        if !ready.swap(true, Ordering::Relaxed) {
            notify(&[NotifyState::Ready]);
        }
    });
    led.await.map_err(|error| match error {
        ReconcileError::Led { by } => {
            let message = format!("another daemon is the leader of this host: {by}");
            CommandError::failure(message).hinted(
                "if it is the service, `systemctl --user status companion.service` shows it",
            )
        }
        error => error.into(),
    })?;
    Ok(Verdict::Done)
}

/// Sends keep-alive messages for systemd's watchdog while the reconcile loop makes progress.
///
/// They are sent from the thread of the loop: if it hangs, `WatchdogSec=` expires. Until the first reconcile,
/// they also extend the start timeout, because the daemon may wait for a command that leads.
async fn feed_watchdog(limit: Duration, heartbeat: Arc<Heartbeat>, ready: Arc<AtomicBool>) {
    // sd_watchdog_enabled(3) recommends half of the limit; a third leaves a margin for a busy machine.
    let mut beats = tokio::time::interval(limit / 3);
    let more = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
    loop {
        beats.tick().await;
        match heartbeat.stuck_for() {
            None => {
                notify(&[NotifyState::Watchdog]);
                if !ready.load(Ordering::Relaxed) {
                    notify(&[NotifyState::ExtendTimeoutUsec(more)]);
                }
            }
            Some(time) => {
                error!("the reconcile loop has made no progress for {} s", time.as_secs());
            }
        }
    }
}

/// Handles SIGTERM and SIGINT (shutdown) and SIGHUP (reconcile now).
fn listen(shutdown: &CancellationToken, wake: Arc<Notify>) -> CommandResult<()> {
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
    let mut hangup = signals(SignalKind::hangup())?;
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

/// Logs a changed state of a companion.
fn log_state(event: &EventRecord) {
    let (EventKind::State, Some(name)) = (event.kind, &event.companion) else { return };
    let health = &*event.action;
    match &event.message {
        Some(why) if !matches!(health, "progressing" | "removing") => {
            warn!("{name} is {health}: {why}");
        }
        _ => info!("{name} is {health}"),
    }
}

/// Returns the state of all companions in one line, for systemd.
fn summary(reconcile: &Result<Reconcile, ReconcileError>) -> String {
    let companions = match reconcile {
        Ok(reconcile) => status(reconcile),
        Err(error) => return error.chain(),
    };
    let all = companions.len();
    let mut trouble = companions.iter().filter(|status| !status.health.is_healthy());
    match trouble.next() {
        None => format!("{all} companion(s), all ready"),
        Some(first) => {
            let (ready, why) = (all - 1 - trouble.count(), first.why.join("; "));
            let (name, health) = (&first.name, first.health);
            format!("{ready} of {all} companion(s) ready; {name} is {health}: {why}")
        }
    }
}
