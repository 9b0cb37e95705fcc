//! `companion doctor`: what this host lacks, and the command that mends it. Changes nothing.

use adapter_systemd::Scope;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::report::VERSION;
use crate::config::{Config, HostKind};
use crate::error::{CommandResult, Verdict};
use crate::output::{Output, Style};
use crate::runtime::block_on_in_real_time;

mod account;
mod live_units;
mod parts;
mod place;

/// Print what this host lacks, and the command that mends it
///
/// Checked are the service manager and its bus, lingering, cgroups, Podman and its generator, the
/// id ranges of rootless Podman, every unit file that the generator reads (one that it cannot parse
/// makes it drop all of them), the state directory and the daemon. What is only advised (memory
/// limits that take effect, the daemon) does not count as lacking.
///
/// With --json: {"version": 1, "fine": bool, "checks": [{"check", "state": "fine" | "advice" |
/// "lacking", "found", "mend"}]}; "mend" is null when there is nothing to mend.
///
/// Exit status: 0 when nothing is lacking, 3 when something is.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// How a part of the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Fine,
    Advice,
    Lacking,
}

/// What was found of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    found: String,
    mend: Option<String>,
}

impl Finding {
    fn fine(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Fine, found: found.into(), mend: None }
    }

    fn lacking(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        let mend = Some(mend.into());
        Self { check, state: State::Lacking, found: found.into(), mend }
    }

    fn advice(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Advice, ..Self::lacking(check, found, mend) }
    }
}

/// Checks.
pub(crate) fn run(_arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let HostKind::Real(scope) = config.host else {
        output.note("the embedded host lacks nothing; `--host user` checks this machine");
        return Ok(Verdict::Done);
    };
    let findings = block_on_in_real_time(examine(scope, config))?;
    let fine = findings.iter().all(|finding| finding.state != State::Lacking);
    if output.is_json() {
        output.json(&json!({ "version": VERSION, "fine": fine, "checks": findings }));
    } else {
        findings.iter().for_each(|finding| print(finding, output));
    }
    Ok(if fine { Verdict::Done } else { Verdict::Lacking })
}

async fn examine(scope: Scope, config: &Config) -> CommandResult<Vec<Finding>> {
    let health = adapter_systemd::inspect(scope).await;
    let mut findings = parts::service_manager(scope, &health);
    findings.extend(parts::podman(scope, &health).await);
    if scope == Scope::User {
        findings.extend(account::id_ranges());
    }
    findings.extend(live_units::foreign(scope, config).await?);
    if let Ok(generator) = &health.generator {
        findings.push(live_units::accepted(scope, generator).await);
    }
    findings.extend(place::state_directory(scope, config).await?);
    findings.push(place::daemon(scope));
    Ok(findings)
}

fn print(finding: &Finding, output: &Output) {
    let (word, style) = match finding.state {
        State::Fine => ("fine   ", Style::Good),
        State::Advice => ("advice ", Style::Busy),
        State::Lacking => ("lacking", Style::Bad),
    };
    output.line(format!("{} {}: {}", output.styled(style, word), finding.check, finding.found));
    if let Some(mend) = &finding.mend {
        output.line(format!("        mend: {mend}"));
    }
}
