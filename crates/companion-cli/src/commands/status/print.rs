//! Prints a status, as lines and as JSON.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use adapter_systemd::Scope;
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

/// What each service uses, in the wide form.
type Usages = BTreeMap<CompanionName, Usage>;

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
        None => (Usages::new(), None),
    };
    if output.is_json() {
        return json(found, &usage, config, output);
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
fn json(found: &Found, usage: &Usages, config: &Config, output: &Output) -> CommandResult<()> {
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
    report["host"] = Value::from(config.host.name());
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
fn lines(found: &Found, form: Form, usage: &Usages, config: &Config, output: &Output) {
    let (report, scope) = (&found.report, config.host.daemon_scope());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if report.companions.is_empty() && found.absent.is_empty() {
        output.line("no companions: no app is recorded as installed");
    }
    let mut table = Table::default();
    let mut row = |name: &CompanionName, health, service| {
        let mut cells = vec![name.to_string(), health, service];
        if form == Form::Wide {
            let facts = found.facts.get(name);
            let image = facts.and_then(|facts| facts.image.as_ref()).map(Image::short);
            let url = facts.and_then(|facts| facts.url.clone());
            let usage = usage.get(name).map(|usage| usage.short());
            cells.extend([url, image, usage].map(Option::unwrap_or_default));
        }
        table.row(cells);
    };
    let mut details = Vec::new();
    for status in &report.companions {
        let health = Style::of(status.health).paint(&status.health.to_string());
        row(&status.name, health, service(status, now));
        details.push(self::details(status, found.facts.get(&status.name), scope, now));
    }
    for name in &found.absent {
        row(name, Style::Faint.paint("not-installed"), String::new());
        details.push(Vec::new());
    }
    for (line, details) in table.lines().iter().zip(details) {
        output.line(line);
        details.iter().for_each(|detail| output.line(format!("    {detail}")));
    }
    about_the_leader(found, now, output);
}

/// Prints the leader, and problems that affect all companions.
fn about_the_leader(found: &Found, now: u64, output: &Output) {
    let report = &found.report;
    if let Some(leader) = &report.leader {
        let trouble = match found.answer {
            Some(Answer::Alive) | None => None,
            Some(Answer::NoEvents) => Some("does not respond".to_owned()),
            Some(Answer::Stuck { seconds }) => {
                Some(format!("has made no progress for {}", words::span(seconds)))
            }
        };
        output.note(match trouble {
            None => {
                format!("leader: {leader}, for {}", words::span(now.saturating_sub(leader.since)))
            }
            Some(trouble) => format!(
                "the leader {leader} {trouble}, so this may be outdated; \
                 `companion reconcile --take-over` kills it and reconciles"
            ),
        });
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

/// Returns the reasons, the last log lines of a failed run, the next steps, the drop-ins, the fix, and the copy of an edited
/// unit.
fn details(
    status: &CompanionStatus,
    facts: Option<&Facts>,
    scope: Option<Scope>,
    now: u64,
) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(status.root_cause.iter().map(|cause| format!("why: {cause}")));
    lines.extend(status.conditions.iter().map(|condition| condition_line(condition, now)));
    lines.extend(status.log.iter().map(|line| format!("log: {line}")));
    lines.extend(status.log_error.iter().map(|error| format!("log: unreadable: {error}")));
    lines.extend(status.next.iter().map(|step| format!("next: {step}")));
    if lines.is_empty() && status.health != Health::Ready {
        lines.extend(status.why.iter().map(|why| format!("why: {why}")));
    }
    lines.extend(status.drop_ins.iter().map(|path| format!("drop-in: {path}")));
    let ignored = status.not_honoured.iter();
    lines.extend(ignored.map(|setting| format!("not honoured by this host: {setting}")));
    if !status.health.is_healthy() {
        lines.extend(causes::fix(status, scope).map(|fix| format!("fix: {fix}")));
    }
    let copy = facts.and_then(|facts| facts.edited.last());
    lines.extend(copy.map(|copy| format!("edited unit saved: {}", copy.display())));
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
