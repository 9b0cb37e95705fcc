//! Prints a status, as lines and as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use archipelago_companions::leader::Answer;
use companion_core::status::{CompanionStatus, Condition, Health};
use serde_json::{Value, json};

use super::Found;
use crate::commands::report::VERSION;
use crate::error::{CommandError, CommandResult};
use crate::output::{Output, Style, Table, words};

/// Prints the status as JSON.
pub(super) fn json(found: &Found, output: &Output) -> CommandResult<()> {
    let broken = |error: serde_json::Error| {
        CommandError::failure(format!("failed to generate JSON: {error}"))
    };
    let mut report = serde_json::to_value(&found.report).map_err(broken)?;
    if let Some(companions) = report["companions"].as_array_mut() {
        companions.extend(found.absent.iter().map(|name| {
            json!({
                "name": name,
                "health": "not-installed",
                "since": null,
                "generation": null,
                "why": ["no installed app needs it"],
                "conditions": [],
                "next": [],
                "running": [],
                "settled": true,
                "service": null,
                "restarts": null,
                "revisions": { "unit_file": null, "loaded": null, "running": null },
                "root_cause": null,
                "log": [],
                "log_error": null,
                "drop_ins": [],
                "not_honoured": [],
            })
        }));
    }
    if let Some(answer) = found.answer {
        report["leader"]["answers"] = Value::from(answer == Answer::Alive);
    }
    report["version"] = Value::from(VERSION);
    report["healthy"] = Value::from(found.is_healthy());
    report["notes"] = Value::from(found.notes.clone());
    output.json(&report);
    Ok(())
}

/// Prints the status as lines.
pub(super) fn lines(found: &Found, output: &Output) {
    let report = &found.report;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if report.companions.is_empty() && found.absent.is_empty() {
        output.line("no companions: no app is recorded as installed");
    }
    let mut table = Table::default();
    for status in &report.companions {
        let health = output.styled(Style::of(status.health), &status.health.to_string());
        table.row([status.name.to_string(), health, service(status, now)]);
    }
    for name in &found.absent {
        let health = output.styled(Style::Faint, "not-installed");
        table.row([name.to_string(), health, String::new()]);
    }
    let details = report.companions.iter().map(|status| details(status, now));
    let details = details.chain(found.absent.iter().map(|_| Vec::new()));
    for (line, details) in table.lines().iter().zip(details) {
        output.line(line);
        details.iter().for_each(|detail| output.line(format!("    {detail}")));
    }
    about_the_leader(found, now, output);
}

/// Prints the leader, and problems that affect all companions.
fn about_the_leader(found: &Found, now: u64, output: &Output) {
    let report = &found.report;
    match (&report.leader, found.answer) {
        (None, _) => {}
        (Some(leader), Some(Answer::Alive) | None) => {
            output.note(format!(
                "leader: {leader}, for {}",
                words::span(now.saturating_sub(leader.since))
            ));
        }
        (Some(leader), Some(Answer::NoEvents)) => output.note(format!(
            "the leader {leader} does not respond, so this may be outdated; \
             `companion reconcile --take-over` kills it and reconciles"
        )),
        (Some(leader), Some(Answer::Stuck { seconds })) => output.note(format!(
            "the leader {leader} has made no progress for {}, so this may be outdated; \
             `companion reconcile --take-over` kills it and reconciles",
            words::span(seconds)
        )),
    }
    if let Some(problem) = &report.inputs.problem {
        output.note(format!("using the last valid catalog: {}", problem.message));
        problem.excerpt.iter().for_each(|excerpt| output.excerpt(excerpt));
    }
    report.problems.iter().chain(&found.notes).for_each(|problem| output.note(problem));
}

/// Returns the state of the service, its duration, and the number of restarts.
fn service(status: &CompanionStatus, now: u64) -> String {
    let mut parts: Vec<String> = status.service.iter().cloned().collect();
    if let Some(since) = status.since.filter(|since| *since <= now) {
        parts.push(format!("for {}", words::span(now - since)));
    }
    if let Some(restarts) = status.restarts.filter(|restarts| *restarts > 0) {
        parts.push(format!("{restarts} restart(s)"));
    }
    parts.join(", ")
}

/// Returns the reasons, the last log lines of a failed run, the next steps, and the drop-ins.
fn details(status: &CompanionStatus, now: u64) -> Vec<String> {
    let cause = status.root_cause.iter().map(|cause| format!("why: {cause}"));
    let why = status.conditions.iter().map(|condition| condition_line(condition, now));
    let log = status.log.iter().map(|line| format!("log: {line}"));
    let log_error = status.log_error.iter().map(|error| format!("log: unreadable: {error}"));
    let next = status.next.iter().map(|step| format!("next: {step}"));
    let mut lines: Vec<_> = cause.chain(why).chain(log).chain(log_error).chain(next).collect();
    if lines.is_empty() && status.health != Health::Ready {
        lines.extend(status.why.iter().map(|why| format!("why: {why}")));
    }
    lines.extend(status.drop_ins.iter().map(|path| format!("drop-in: {path}")));
    let ignored = status.not_honoured.iter();
    lines.extend(ignored.map(|setting| format!("not honoured by this host: {setting}")));
    lines
}

fn condition_line(condition: &Condition, now: u64) -> String {
    let mut line = format!("why: {}", condition.message);
    match condition.next_attempt {
        Some(at) if at > now => {
            line.push_str(&format!("; next attempt in {}", words::span(at - now)))
        }
        Some(_) => line.push_str("; next attempt now"),
        None => {}
    }
    line
}
