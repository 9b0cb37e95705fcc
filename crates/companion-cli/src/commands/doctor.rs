//! `companion doctor`: what is missing or broken on this host, and the command that fixes it. Changes
//! nothing.

use std::sync::Arc;

use adapter_systemd::Scope;
use archipelago::Catalog;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::report::VERSION;
use crate::config::{Config, HostKind};
use crate::error::{CommandResult, Verdict};
use crate::output::{Output, Style};
use crate::runtime::block_on_in_real_time;

mod account;
mod daemon;
mod files;
mod parts;
mod units;

/// Check this host, and print the command that fixes each problem
///
/// Checks the service manager and its bus, lingering, the environment, cgroups, Podman and its
/// generator, the id ranges of rootless Podman, every unit file that the generator reads (one that it
/// cannot parse makes it drop all of them), the catalog, the state directory, and whether the daemon
/// runs. A broken part does not keep the others from being checked.
///
/// With --json: {"version": 1, "ok": bool, "checks": [{"check", "state": "ok" | "warning" | "error",
/// "found", "fix"}]}; "fix" is null when there is nothing to fix.
///
/// Exit status: 0 without an error, warnings or not; 3 with one.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// How a part of the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// As it should be.
    Ok,
    /// Companions run, but something may surprise.
    Warning,
    /// Companions cannot run, or not for long.
    Error,
}

/// What was found about one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    state: State,
    found: String,
    fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), fix: None }
    }

    fn error(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Error, found: found.into(), fix: Some(fix.into()) }
    }

    fn warning(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::error(check, found, fix) }
    }

    /// Whether companions cannot run because of it.
    pub(super) fn is_error(&self) -> bool {
        self.state == State::Error
    }

    /// Whether a person has to do something that `companion setup` does not.
    pub(super) fn is_left_to_do(&self) -> bool {
        self.state != State::Ok && self.check != daemon::CHECK
    }

    /// Prints it in one line, and its fix in another.
    pub(super) fn print(&self, output: &Output) {
        let (word, style) = match self.state {
            State::Ok => ("ok     ", Style::Good),
            State::Warning => ("warning", Style::Busy),
            State::Error => ("error  ", Style::Bad),
        };
        output.line(format!("{} {}: {}", output.styled(style, word), self.check, self.found));
        if let Some(fix) = &self.fix {
            output.line(format!("        fix: {fix}"));
        }
    }
}

/// Checks.
pub(crate) fn run(_arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let HostKind::Real(scope) = config.host else {
        output.note("the simulated host has no prerequisites; `--host user` checks this machine");
        return Ok(Verdict::Done);
    };
    let findings = block_on_in_real_time(async { Ok(examine(scope, config).await) })?;
    let ok = !findings.iter().any(Finding::is_error);
    if output.is_json() {
        output.json(&json!({ "version": VERSION, "ok": ok, "checks": findings }));
    } else {
        findings.iter().for_each(|finding| finding.print(output));
    }
    Ok(if ok { Verdict::Done } else { Verdict::Lacking })
}

/// Checks everything, and changes nothing.
pub(super) async fn examine(scope: Scope, config: &Config) -> Vec<Finding> {
    let health = adapter_systemd::inspect(scope).await;
    let mut findings = parts::service_manager(scope, &health);
    findings.extend(parts::environment(&health));
    findings.push(parts::podman().await);
    findings.push(parts::generator(scope, &health));
    if scope == Scope::User {
        findings.extend(account::id_ranges());
    }
    let (catalog, finding) = files::catalog(config);
    findings.push(finding);
    // Whose a unit file is depends on the names alone, and those that are built in are always known.
    let catalog = Arc::new(catalog.unwrap_or_else(Catalog::builtin));
    findings.extend(units::unmanaged(scope, &catalog).await);
    if health.generator.is_ok() {
        findings.push(units::loadable(scope).await);
    }
    findings.extend(files::state_directory(scope, config, catalog).await);
    findings.extend(daemon::findings(scope).await);
    findings
}
