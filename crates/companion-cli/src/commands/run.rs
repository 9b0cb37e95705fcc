//! `companion run`: the daemon. It keeps the companions true until it is told to end.
//!
//! Companions are the service manager's: they run on when the daemon ends, however it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use companion_core::model::companion::CompanionName;
use companion_core::reconciler::{ReconcileError, Round};
use companion_core::status::{Health, status};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{Config, HostKind};
use crate::error::{CommandError, CommandResult, Verdict, chain};
use crate::hosts::Session;
use crate::output::Output;
use crate::runtime::block_on_in_real_time;

mod pulse;
mod watch;

use pulse::Pulse;

/// Keep the companions true until told to end: the daemon
///
/// Looks at everything at once, whenever a unit or the record of wishes changes, and at the latest
/// every 30 s; what is true is left alone. Tells systemd when it is ready, how things are, and that
/// it lives (Type=notify, WatchdogSec=). SIGTERM and SIGINT end the round under way and then the
/// daemon; the companions run on. SIGHUP has everything looked at now. One daemon at a time has a
/// state directory: a second one refuses. `install` and `remove` work beside it.
///
/// Exit status: 0 when told to end, 1 when another daemon runs, 2 for a catalog file that cannot be
/// used, 3 when the host lacks something.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Look at everything at the latest after so many seconds, 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    tick: u64,
}

/// Runs until a signal.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let tick = Duration::from_secs(arguments.tick);
    block_on_in_real_time(async {
        let shutdown = CancellationToken::new();
        let wake = Arc::new(Notify::new());
        listen(&shutdown, &wake)?;
        let pulse = Arc::new(Pulse::new(tick));
        let session = Session::open(config, output, Arc::clone(&pulse) as _).await?;
        session.companions.reconciler().lead().await?;
        pulse.spawn_heartbeat();
        // Whoever is told to end while it waits for the lock has nothing to end yet.
        let prepared = shutdown.run_until_cancelled(prepare(&session, config, &pulse)).await;
        prepared.transpose()?;
        watch_for_changes(&session, config, &wake, tick);
        info!("companion {} begins", env!("CARGO_PKG_VERSION"));
        keep(&session, tick, shutdown, wake, &pulse).await;
        session.settled().await;
        Ok(Verdict::Done)
    })
}

/// Makes rounds until the shutdown.
async fn keep(
    session: &Session,
    tick: Duration,
    shutdown: CancellationToken,
    wake: Arc<Notify>,
    pulse: &Pulse,
) {
    let supervisor = session.companions.supervisor().with_tick(tick).woken_by(wake);
    let mut known = Known::default();
    supervisor
        .run(shutdown, |round| {
            pulse.beat();
            known.tell(round);
            if pulse.start() {
                tell_systemd(&[NotifyState::Ready]);
            }
        })
        .await;
}

/// Has SIGTERM and SIGINT end the daemon, and SIGHUP wake it.
fn listen(shutdown: &CancellationToken, wake: &Arc<Notify>) -> CommandResult<()> {
    let open = |kind| {
        signal(kind).map_err(|error| {
            CommandError::failure(format!("failed to listen for signals: {error}"))
        })
    };
    let ended = shutdown.clone();
    let (mut terminate, mut interrupt) =
        (open(SignalKind::terminate())?, open(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("told to end");
        tell_systemd(&[NotifyState::Stopping, NotifyState::Status("ending the round under way")]);
        ended.cancel();
    });
    let (mut hangup, wake): (Signal, _) = (open(SignalKind::hangup())?, Arc::clone(wake));
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            wake.notify_one();
        }
    });
    Ok(())
}

/// What is done once: builds that outlived their daemon are ended, leftovers are swept, and what the
/// catalog newly has is taken in.
async fn prepare(session: &Session, config: &Config, pulse: &Pulse) -> CommandResult<()> {
    match session.end_orphans().await {
        0 => {}
        count => info!("ended {count} build(s) or pull(s) that outlived who began them"),
    }
    session.sweep(config).await;
    pulse.beat();
    session.companions.adopt(&[]).await?;
    pulse.beat();
    Ok(())
}

fn watch_for_changes(session: &Session, config: &Config, wake: &Arc<Notify>, tick: Duration) {
    let mut directories = vec![watch::Watched::record(session.store.dir())];
    if let HostKind::Real(scope) = config.host {
        directories.extend(scope.unit_dir().ok().map(watch::Watched::units));
    }
    if let Err(error) = watch::spawn(directories, Arc::clone(wake), tick) {
        warn!("changes are seen every {} s only: {error}", tick.as_secs());
    }
}

fn tell_systemd(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell, which is no error of `notify`.
    if let Err(error) = sd_notify::notify(state) {
        warn!("failed to notify the service manager: {error}");
    }
}

/// How the companions were when it was last told.
#[derive(Debug, Default)]
struct Known {
    health: BTreeMap<CompanionName, Health>,
    status: String,
}

impl Known {
    /// Logs what changed, and tells systemd how things are in one line.
    fn tell(&mut self, round: &Result<Round, ReconcileError>) {
        let text = match round {
            Ok(round) => self.changes(round),
            Err(error) => format!("nothing can be done: {}", chain(error)),
        };
        if text != self.status {
            tell_systemd(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }

    fn changes(&mut self, round: &Round) -> String {
        let companions = status(round);
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
