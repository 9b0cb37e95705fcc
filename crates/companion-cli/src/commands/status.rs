//! `companion status`: how each companion is, since when, why, and what happens next.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use companion_core::model::companion::CompanionName;
use companion_core::status::{CompanionStatus, Health};
use serde_json::{Value, json};

use super::report::VERSION;
use crate::config::{Config, known_companion};
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::Session;
use crate::output::{Output, Style, Table, words};
use crate::runtime::block_on;

/// Print how each companion is, why, and what happens next
///
/// States: ready (runs, and all about it is as wanted), progressing (steps are due or under way),
/// degraded (runs, but something cannot be mended now), blocked (does not run and cannot be made
/// to), removing, orphaned (ours, but no record of it), unknown (could not be read), not-installed.
///
/// With --json: {"version": 1, "healthy": bool, "companions": [{"name", "health", "since" (seconds
/// since 1970), "why": […], "waiting_on": [{"on", …}], "next": […], "retry_in" (seconds), "service",
/// "restarts", "revisions": {"unit_file", "loaded", "running"}, "root_cause", "log": [the last lines of
/// a failed run], "log_error", "drop_ins": [paths]}]}; what is not known is null.
///
/// Back-offs live in the daemon's memory; its log tells when it tries again.
///
/// Exit status: 0 when all are ready, 1 when one is not, 2 for an unknown name, 3 when the host
/// lacks something.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only these companions
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Prints the status.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config.host, async {
        let session = Session::open_to_look(config, output).await?;
        let found = match &session {
            Some(session) => session.companions.status().await?,
            None => Vec::new(),
        };
        let named = named(arguments, config, &found)?;
        let shown: Vec<_> = found
            .into_iter()
            .filter(|status| named.is_empty() || named.contains(&status.name))
            .collect();
        let absent: Vec<_> =
            named.iter().filter(|name| shown.iter().all(|status| status.name != **name)).collect();
        let healthy = absent.is_empty() && shown.iter().all(|status| status.health.is_healthy());
        if output.is_json() {
            print_json(&shown, &absent, healthy, output)?;
        } else {
            print_lines(&shown, &absent, output);
        }
        Ok(Verdict::of(healthy))
    })
}

/// The companions that were asked for: each is known to the catalog or was found on the host.
fn named(
    arguments: &Arguments,
    config: &Config,
    found: &[CompanionStatus],
) -> CommandResult<BTreeSet<CompanionName>> {
    if arguments.names.is_empty() {
        return Ok(BTreeSet::new());
    }
    let catalog = config.catalog()?;
    let name = |text: &String| {
        let found = found.iter().find(|status| status.name.as_str() == text);
        found.map_or_else(|| known_companion(&catalog, text), |status| Ok(status.name.clone()))
    };
    arguments.names.iter().map(name).collect()
}

fn print_json(
    shown: &[CompanionStatus],
    absent: &[&CompanionName],
    healthy: bool,
    output: &Output,
) -> CommandResult<()> {
    let broken =
        |error: serde_json::Error| CommandError::failure(format!("failed to make JSON: {error}"));
    let mut companions = shown
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<Vec<Value>, _>>()
        .map_err(broken)?;
    companions.extend(absent.iter().map(|name| {
        json!({
            "name": name,
            "health": "not-installed",
            "since": null,
            "why": ["no installed app has it"],
            "waiting_on": [],
            "next": [],
            "retry_in": null,
            "service": null,
            "restarts": null,
            "revisions": { "unit_file": null, "loaded": null, "running": null },
            "root_cause": null,
            "log": [],
            "log_error": null,
            "drop_ins": [],
        })
    }));
    output.json(&json!({ "version": VERSION, "healthy": healthy, "companions": companions }));
    Ok(())
}

fn print_lines(shown: &[CompanionStatus], absent: &[&CompanionName], output: &Output) {
    if shown.is_empty() && absent.is_empty() {
        output.line("no companions: no app is recorded as installed");
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut table = Table::default();
    for status in shown {
        let health = output.styled(Style::of(status.health), &status.health.to_string());
        table.row([status.name.to_string(), health, service(status, now)]);
    }
    for name in absent {
        let health = output.styled(Style::Faint, "not-installed");
        table.row([name.to_string(), health, String::new()]);
    }
    let details = shown.iter().map(details).chain(absent.iter().map(|_| Vec::new()));
    for (line, details) in table.lines().iter().zip(details) {
        output.line(line);
        details.iter().for_each(|detail| output.line(format!("    {detail}")));
    }
}

/// The service manager's words, since when, and how often it was started again.
fn service(status: &CompanionStatus, now: u64) -> String {
    let mut words: Vec<String> = status.service.iter().cloned().collect();
    if let Some(since) = status.since.filter(|since| *since <= now) {
        words.push(format!("for {}", words::span(now - since)));
    }
    if let Some(restarts) = status.restarts.filter(|restarts| *restarts > 0) {
        words.push(format!("{restarts} restart(s)"));
    }
    words.join(", ")
}

/// Why, with the last log lines of a failed run, what next, and when; and what changes its unit.
fn details(status: &CompanionStatus) -> Vec<String> {
    let cause = status.root_cause.iter().map(|cause| format!("why: {cause}"));
    let waits = status.waiting_on.iter().map(|waiting| format!("why: {waiting}"));
    let log = status.log.iter().map(|line| format!("log: {line}"));
    let log_error = status.log_error.iter().map(|error| format!("log: not readable: {error}"));
    let next = status.next.iter().map(|step| format!("next: {step}"));
    let mut lines: Vec<_> = cause.chain(waits).chain(log).chain(log_error).chain(next).collect();
    if let Some(seconds) = status.retry_in {
        lines.push(format!("again in {}", words::span(seconds)));
    }
    if lines.is_empty() && status.health != Health::Ready {
        lines.extend(status.why.iter().map(|why| format!("why: {why}")));
    }
    lines.extend(status.drop_ins.iter().map(|path| format!("drop-in: {path}")));
    lines
}
