//! `companion status`: the state of each companion, its reasons, the next steps, and the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use archipelago_companions::inputs::InputProblem;
use archipelago_companions::leader::{Answer, LeaderInfo, ask, leader};
use archipelago_companions::published::{StatusReport, read_status};
use archipelago_companions::{Catalog, RecordStore};
use clap::{Args, ValueEnum};
use companion_core::model::companion::CompanionName;
use companion_core::status::{CompanionStatus, Condition, Health};

use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::Opening;
use crate::names as known;
use crate::output::Output;
use crate::runtime::block_on;
use crate::scopes;
use crate::service::{Systemctl, UNIT};

mod print;
mod watch;
mod wide;

pub(super) use wide::Facts;

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
    /// The name of the host.
    pub(super) host: &'static str,
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
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    if arguments.watch && config.host.is_simulated() {
        return Err(CommandError::input("nothing changes on the simulated host"));
    }
    block_on(config, async {
        if arguments.watch {
            return watch::run(arguments, config, output).await;
        }
        let found = find(&arguments.names, config, output).await?;
        print::found(&found, arguments.output, config, output).await?;
        Ok(Verdict::of(found.is_healthy()))
    })
}

/// Returns the status that a leader published, else the observed one, for the companions in `names`.
pub(super) async fn find(
    names: &[String],
    config: &Config,
    output: &Output,
) -> CommandResult<Found> {
    let opening = Opening::new(config, "companion status");
    let store = opening.store().await?;
    let inputs = store.inputs().refresh();
    let catalog = store.inputs().catalog();
    let mut found = match published(config, &store).await? {
        Some(found) => found,
        None => {
            let companions = match inputs.catalog {
                Some(_) => look(opening, output).await?,
                // Without a catalog the desired state of the companions is unknown.
                None => Vec::new(),
            };
            alone(companions, &store, inputs.problem.clone(), config)
        }
    };
    let named = named(names, &catalog, &found.report.companions)?;
    if !named.is_empty() {
        found.report.companions.retain(|status| named.contains(&status.name));
        let absent = named.into_iter().filter(|name| found.report.companion(name).is_none());
        found.absent = absent.collect();
    }
    let shown = found.report.companions.iter().map(|status| &status.name);
    let shown = shown.chain(&found.absent);
    found.facts = wide::facts(shown, &catalog, &store, config).await;
    if let Some(scope) = config.host.daemon_scope() {
        let uid = rustix::process::geteuid().as_raw();
        found.notes.extend(scopes::others(scope, uid, Path::new("/run")));
    }
    Ok(found)
}

async fn look(opening: Opening<'_>, output: &Output) -> CommandResult<Vec<CompanionStatus>> {
    Ok(match opening.open_to_look(output).await? {
        Some(companions) => companions.status().await?,
        None => Vec::new(),
    })
}

/// Returns the published status, if a process leads.
async fn published(config: &Config, store: &RecordStore) -> CommandResult<Option<Found>> {
    if config.host.is_simulated() {
        return Ok(None);
    }
    let Some((dir, leader)) = leads(config, store).await? else { return Ok(None) };
    let mut notes = Vec::new();
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
    let answer = Some(ask(&dir).await);
    let (absent, facts, host) = (Vec::new(), BTreeMap::new(), config.host.name());
    Ok(Some(Found { report, answer, absent, facts, notes, host }))
}

async fn leads(
    config: &Config,
    store: &RecordStore,
) -> CommandResult<Option<(std::path::PathBuf, LeaderInfo)>> {
    // Without a runtime directory there is no leader; other checks report the missing prerequisite.
    let Ok(dir) = config.host.leader_dir(store.dir()) else { return Ok(None) };
    Ok(leader(&dir).await?.map(|leader| (dir, leader)))
}

/// Returns a report of the observed state without a leader: pending steps are not executed.
fn alone(
    mut companions: Vec<CompanionStatus>,
    store: &RecordStore,
    problem: Option<InputProblem>,
    config: &Config,
) -> Found {
    let is_real = !config.host.is_simulated();
    for status in companions.iter_mut().filter(|_| is_real) {
        if status.health == Health::Progressing && !status.next.is_empty() {
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
    }
    let report = StatusReport::unpublished(companions, store.inputs(), problem);
    let no_daemon = "no daemon runs, so nothing reconciles; `companion setup` starts it, `companion \
                  reconcile` reconciles once";
    let notes = is_real.then(|| no_daemon.to_owned()).into_iter().collect();
    let (absent, facts, host) = (Vec::new(), BTreeMap::new(), config.host.name());
    Found { report, answer: None, absent, facts, notes, host }
}

/// Returns the requested companions: each is in the catalog or on the host.
fn named(
    names: &[String],
    catalog: &Catalog,
    found: &[CompanionStatus],
) -> CommandResult<BTreeSet<CompanionName>> {
    let mut all = BTreeSet::new();
    for text in names {
        match found.iter().find(|status| status.name.as_str() == text) {
            Some(status) => all.extend([status.name.clone()]),
            None => all.extend(known::companions(catalog, text)?),
        }
    }
    Ok(all)
}
