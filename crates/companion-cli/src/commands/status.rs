//! `companion status`: the state of each companion, its reasons, the next steps, and the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use archipelago_companions::RecordStore;
use archipelago_companions::leader::{Answer, ask, leader};
use archipelago_companions::published::{StatusReport, read_status};
use clap::{Args, ValueEnum};
use companion_core::model::companion::CompanionName;
use companion_core::status::{CompanionStatus, Condition, Health};
use tokio::time::sleep;

use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::{open_to_look, store};
use crate::names as known;
use crate::output::{Output, words};
use crate::scopes;
use crate::service::{Systemctl, UNIT};

mod print;
mod wide;

pub(super) use wide::Facts;

/// How often the status is read for `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

const NO_DAEMON: &str = "no daemon runs, so nothing reconciles; `companion setup` starts it, `companion \
                         reconcile` reconciles once";

/// Print the state of each companion, its reasons, the next steps, and the leader
///
/// While the daemon runs, this is the status that it last published; otherwise this command inspects the
/// host, and nothing reconciles.
///
/// States: ready (runs as desired), progressing (steps are pending or running), degraded (runs, but a
/// repair failed or is blocked), blocked (does not run and cannot be started now), removing, orphaned
/// (managed, but not in the desired state), unknown (could not be read), not-installed.
///
/// With --output wide, also the address of the page, the image, the memory and the processor time of the
/// service, the state of the daemon's service, and the versions.
///
/// With --json: {"version": 1, "healthy": bool, "host": "user" | "system" | …, "leader": {"program", "pid", "version", "since",
/// "answers", …} | null, "observed_generation", "inputs": {"digest", "catalogs", "problem"},
/// "problems": […], "companions": [{"name", "health", "since" (seconds since 1970), "generation",
/// "why": […], "conditions": [{"reason", "message", "attempts", "next_attempt", "since"}], "next": […],
/// "running": […], "settled", "service", "restarts", "revisions": {"unit_file", "loaded", "running"},
/// "root_cause", "log": [the last lines of a failed run], "log_error", "drop_ins": [the paths in
/// force], "not_honoured": [settings that this host ignores], "url", "image": {"reference", "id"},
/// "usage": {"memory" (bytes), "cpu_milliseconds"} (with --output wide), "edited": [copies of edited unit
/// files]}]}; unknown values are null.
///
/// Exit status: 0 if all are ready, 1 if one is not or the leader hangs, 2 for an unknown name, 3 if a
/// prerequisite is missing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion status                               all companions
  companion status lnd                           the companions of the app lnd
  companion status --output wide                 with pages, images and the daemon
  companion status --watch lnd                   again whenever it changes
  companion status --json | jq .healthy          for a script")]
pub(crate) struct Arguments {
    /// Only these companions, or the companions of these apps
    #[arg(value_name = "NAME", add = known::completions())]
    names: Vec<String>,
    /// The columns
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t = Form::Short)]
    output: Form,
    /// Print the status again whenever it changes, until the command is stopped; the usage is as of the last change
    #[arg(short, long)]
    watch: bool,
}

/// The columns of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// State and service.
    Short,
    /// With the address of the page, the image, and what the service uses.
    Wide,
}

/// The data of the status.
#[derive(PartialEq)]
pub(super) struct Found {
    /// The status report.
    pub(super) report: StatusReport,
    /// The answer of the leader; `None` without a leader.
    pub(super) answer: Option<Answer>,
    /// The requested companions that are not installed.
    pub(super) absent: Vec<CompanionName>,
    /// Further facts of the companions.
    pub(super) facts: BTreeMap<CompanionName, Facts>,
    /// Further problems, as messages.
    pub(super) notes: Vec<String>,
}

impl Found {
    /// Returns whether everything is healthy.
    pub(super) fn is_healthy(&self) -> bool {
        let report = &self.report;
        self.absent.is_empty()
            && report.companions.iter().all(|status| status.health.is_healthy())
            && report.problems.is_empty()
            && report.inputs.problem.is_none()
            && self.answer.is_none_or(|answer| answer == Answer::Alive)
    }
}

/// Prints the status.
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    if !arguments.watch {
        let found = find(&arguments.names, config, output).await?;
        print::found(&found, arguments.output, config, output).await?;
        return Ok(Verdict::of(found.is_healthy()));
    }
    if config.host.is_simulated() {
        return Err(CommandError::input("nothing changes on the simulated host"));
    }
    let mut last: Option<Found> = None;
    // Until a signal ends the process or nobody reads the output.
    while !output.is_closed() {
        let found = find(&arguments.names, config, output).await?;
        if last.as_ref() != Some(&found) {
            if last.is_some() && !output.is_json() {
                output.line(format!("\n{}", words::timestamp(SystemTime::now())));
            }
            print::found(&found, arguments.output, config, output).await?;
            last = Some(found);
        }
        sleep(WATCH_INTERVAL).await;
    }
    Ok(Verdict::Done)
}

/// Returns the status that a leader published, else the observed one, for the companions in `names`.
pub(super) async fn find(
    names: &[String],
    config: &Config,
    output: &Output,
) -> CommandResult<Found> {
    let store = store(config).await?;
    let inputs = store.inputs().refresh();
    let catalog = store.inputs().catalog();
    let mut notes = Vec::new();
    let (mut report, answer) = match published(config, &store, &mut notes).await? {
        Some((report, answer)) => (report, Some(answer)),
        None => {
            let mut companions = Vec::new();
            // Without a catalog the desired state of the companions is unknown.
            if inputs.catalog.is_some()
                && let Some(host) = open_to_look(config, output).await?
            {
                companions = host.status().await?;
            }
            if !config.host.is_simulated() {
                companions.iter_mut().for_each(mark_unreconciled);
                notes.push(NO_DAEMON.to_owned());
            }
            (StatusReport::unpublished(companions, store.inputs(), inputs.problem), None)
        }
    };
    let mut named = BTreeSet::new();
    for text in names {
        let is_found = |name: &_| report.companion(name).is_some();
        named.extend(known::companions(&catalog, text, is_found)?);
    }
    if !named.is_empty() {
        report.companions.retain(|status| named.contains(&status.name));
    }
    let absent = named.into_iter().filter(|name| report.companion(name).is_none()).collect();
    let shown = report.companions.iter().map(|status| &status.name).chain(&absent);
    let facts = wide::facts(shown, &catalog, &store, config).await;
    if let Some(scope) = config.host.daemon_scope() {
        let uid = rustix::process::geteuid().as_raw();
        notes.extend(scopes::others(scope, uid, Path::new("/run")));
    }
    Ok(Found { report, answer, absent, facts, notes })
}

/// Returns the published status and the answer of its leader, if a process leads.
async fn published(
    config: &Config,
    store: &RecordStore,
    notes: &mut Vec<String>,
) -> CommandResult<Option<(StatusReport, Answer)>> {
    if config.host.is_simulated() {
        return Ok(None);
    }
    // Without a runtime directory there is no leader; other checks report the missing prerequisite.
    let Ok(dir) = config.host.leader_dir(store.dir()) else { return Ok(None) };
    let Some(leader) = leader(&dir).await? else { return Ok(None) };
    let report = match read_status(store.dir()).await {
        Ok(report) => report.filter(|report| report.leader.as_ref() == Some(&leader)),
        Err(error) => {
            notes.push(error.chain());
            None
        }
    };
    let Some(report) = report else {
        // A new leader has not published yet; one with another state directory publishes there.
        return Ok(None);
    };
    if leader.version != env!("CARGO_PKG_VERSION") {
        notes.push(format!(
            "{leader} is version {}, but this command is version {}; restart it: `{} restart {UNIT}`",
            leader.version,
            env!("CARGO_PKG_VERSION"),
            config.host.daemon_scope().map_or("systemctl", |scope| Systemctl::new(scope).shown()),
        ));
    }
    Ok(Some((report, ask(&dir).await)))
}

/// Reports pending steps as not executed, because nobody leads.
fn mark_unreconciled(status: &mut CompanionStatus) {
    if status.health != Health::Progressing || status.next.is_empty() {
        return;
    }
    let runs = status.revisions.running.is_some();
    status.health = if runs { Health::Degraded } else { Health::Blocked };
    status.conditions.push(Condition {
        reason: "nobody-reconciles".to_owned(),
        message: "steps are pending, but no daemon runs".to_owned(),
        attempts: None,
        next_attempt: None,
        since: None,
        retry_at: None,
    });
}
