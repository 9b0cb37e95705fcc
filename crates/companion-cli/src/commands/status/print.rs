//! Prints a status, as lines and as JSON.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use archipelago_companions::leader::Answer;
use companion_core::model::companion::CompanionName;
use companion_core::status::{CompanionStatus, Condition, Health};
use serde_json::{Value, json};

use super::wide::Image;
use super::{Facts, Form, Found};
use crate::commands::causes;
use crate::commands::report::VERSION;
use crate::config::Config;
use crate::error::{CommandError, CommandResult};
use crate::output::{Output, Style, Table, words};
use crate::service::{ServiceState, Systemctl, UNIT, Usage};

/// Prints the status in the requested form.
pub(super) async fn found(
    found: &Found,
    form: Form,
    config: &Config,
    output: &Output,
) -> CommandResult<()> {
    let (usage, service) = match config.host.daemon_scope().filter(|_| form == Form::Wide) {
        Some(scope) => {
            let systemctl = Systemctl::new(scope);
            // Concurrently: a systemd that does not respond costs one time limit. The text names it as the state of the
            // daemon's service; as JSON, the usage is unknown.
            let (usage, service) =
                tokio::join!(systemctl.usage(found.facts.keys()), systemctl.state());
            (usage.unwrap_or_default(), Some(service))
        }
        None => (BTreeMap::new(), None),
    };
    if output.is_json() {
        return json(found, &usage, output);
    }
    lines(found, form, &usage, config, output);
    if form == Form::Wide {
        let account = rustix::process::geteuid().as_raw();
        output.note(format!("host: {} (uid {account})", config.host.description()));
        about_the_daemon(found, service, output);
    }
    Ok(())
}

/// Prints the state of the daemon's service and the versions.
fn about_the_daemon(found: &Found, service: Option<CommandResult<ServiceState>>, output: &Output) {
    let version = env!("CARGO_PKG_VERSION");
    let leader = found.report.leader.as_ref().map(|leader| format!("{leader}: {}", leader.version));
    let leader = leader.unwrap_or_else(|| "no leader".to_owned());
    output.note(format!("versions: this command {version}; {leader}"));
    let service = match service {
        None => return,
        Some(Ok(state)) if state.load == "not-found" => {
            "not installed; `companion setup`".to_owned()
        }
        Some(Ok(state)) => format!("{} ({}), {}", state.active, state.sub, state.unit_file),
        Some(Err(error)) => format!("unknown: {error}"),
    };
    output.note(format!("daemon: {UNIT}: {service}"));
}

/// Prints the status as JSON.
fn json(
    found: &Found,
    usage: &BTreeMap<CompanionName, Usage>,
    output: &Output,
) -> CommandResult<()> {
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
    for companion in report["companions"].as_array_mut().into_iter().flatten() {
        let name = companion["name"].as_str().and_then(|name| CompanionName::new(name).ok());
        companion["usage"] = json!(name.as_ref().and_then(|name| usage.get(name)));
        let facts = name.and_then(|name| found.facts.get(&name).cloned()).unwrap_or_default();
        let facts = serde_json::to_value(facts).map_err(broken)?;
        if let (Some(companion), Value::Object(facts)) = (companion.as_object_mut(), facts) {
            companion.extend(facts);
        }
    }
    report["host"] = Value::from(found.host);
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
fn lines(
    found: &Found,
    form: Form,
    usage: &BTreeMap<CompanionName, Usage>,
    config: &Config,
    output: &Output,
) {
    let (report, scope) = (&found.report, config.host.daemon_scope());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if report.companions.is_empty() && found.absent.is_empty() {
        output.line("no companions: no app is recorded as installed");
    }
    let mut table = Table::default();
    let row = |name: &CompanionName, health, service| {
        let mut cells = vec![name.to_string(), health, service];
        if form == Form::Wide {
            cells.extend(wide(found.facts.get(name)));
            cells.push(usage.get(name).map(|usage| usage.short()).unwrap_or_default());
        }
        cells
    };
    for status in &report.companions {
        let health = output.styled(Style::of(status.health), &status.health.to_string());
        table.row_of(row(&status.name, health, service(status, now)));
    }
    for name in &found.absent {
        let health = output.styled(Style::Faint, "not-installed");
        table.row_of(row(name, health, String::new()));
    }
    let edited = |status: &CompanionStatus| edited(found.facts.get(&status.name));
    let details = report.companions.iter().map(|it| {
        let fix = causes::fix(it, scope).filter(|_| !it.health.is_healthy());
        let fix = fix.map(|fix| format!("fix: {fix}"));
        [details(it, now), fix.into_iter().collect(), edited(it)].concat()
    });
    let details = details.chain(found.absent.iter().map(|_| Vec::new()));
    for (line, details) in table.lines().iter().zip(details) {
        output.line(line);
        details.iter().for_each(|detail| output.line(format!("    {detail}")));
    }
    about_the_leader(found, now, output);
}

/// Returns the address of the page and the image.
fn wide(facts: Option<&Facts>) -> [String; 2] {
    let image = facts.and_then(|facts| facts.image.as_ref());
    let url = facts.and_then(|facts| facts.url.clone());
    [url, image.map(Image::short)].map(Option::unwrap_or_default)
}

/// Returns the line about the copies of an edited unit.
fn edited(facts: Option<&Facts>) -> Vec<String> {
    let copies = facts.map(|facts| facts.edited.as_slice()).unwrap_or_default();
    let line = copies.last().map(|copy| format!("edited unit saved: {}", copy.display()));
    line.into_iter().collect()
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
    let mut line = format!("why: {}", causes::summary(&condition.message));
    match condition.next_attempt {
        Some(at) if at > now => {
            line.push_str(&format!("; next attempt in {}", words::span(at - now)))
        }
        Some(_) => line.push_str("; next attempt now"),
        None => {}
    }
    line
}
