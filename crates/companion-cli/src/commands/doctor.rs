//! `companion doctor`: checks of this host, each with the command that fixes a problem.

use std::error::Error;
use std::sync::Arc;

use archipelago_companions::Catalog;
use clap::Args;
use companion_core::error_chain::chain;
use serde::Serialize;
use serde_json::json;

use super::report::VERSION;
use crate::config::Config;
use crate::error::{CommandResult, Verdict};
use crate::output::{Output, Style};

mod daemon;
mod files;
mod package;

/// Check this host, and print the command that fixes each problem
///
/// Checks the service manager and its bus, lingering, the environment, cgroups, Podman and its
/// generator, the id ranges of rootless Podman, whether a container starts, every unit file that the
/// generator reads (one unparsable file makes it drop all of them), the catalog, the network (registries
/// that are contacted, ports of the pages), the state directory, whether the daemon runs, and whether dpkg or
/// rpm completed the package of this program. All checks run, even if some fail. If an image of a companion is present,
/// a container of it is started without a network, and removed; nothing else is changed.
///
/// With --json: {"version": 1, "ok": bool, "checks": [{"check", "state": "ok" | "warning" | "error",
/// "found", "fix"}]}; "fix" is null when there is nothing to fix.
///
/// Exit status: 3 if a check reports an error, otherwise 0.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion doctor                               check this host
  companion doctor --json | jq .ok               for a script")]
pub(crate) struct Arguments {}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// No problem.
    Ok,
    /// Companions run, with a limitation.
    Warning,
    /// Companions cannot run, or cannot keep running.
    Error,
}

/// A finding of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub(crate) check: &'static str,
    pub(crate) state: State,
    pub(crate) found: String,
    pub(crate) fix: Option<String>,
}

impl Finding {
    /// No problem.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), fix: None }
    }

    /// Companions cannot run, or cannot keep running, until `fix`.
    pub fn error(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Error, found: found.into(), fix: Some(fix.into()) }
    }

    /// Companions run, with a limitation until `fix`.
    pub fn warning(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::error(check, found, fix) }
    }

    /// The result of a check that needs `fix` unless it succeeded.
    pub(crate) fn of(
        check: &'static str,
        result: Result<impl Into<String>, impl Error>,
        fix: impl Into<String>,
    ) -> Self {
        match result {
            Ok(found) => Self::ok(check, found),
            Err(error) => Self::error(check, chain(&error), fix),
        }
    }

    /// Returns whether it prevents companions from running.
    pub(crate) fn is_error(&self) -> bool {
        self.state == State::Error
    }

    /// Returns whether it needs manual work, beyond `companion setup`.
    pub(super) fn is_left_to_do(&self) -> bool {
        self.state != State::Ok && self.check != daemon::CHECK
    }

    /// Prints the finding on one line and its fix on the next.
    pub(super) fn print(&self, output: &Output) {
        let (word, style) = match self.state {
            State::Ok => ("ok     ", Style::Good),
            State::Warning => ("warning", Style::Busy),
            State::Error => ("error  ", Style::Bad),
        };
        output.line(format!("{} {}: {}", style.paint(word), self.check, self.found));
        if let Some(fix) = &self.fix {
            output.line(format!("        fix: {fix}"));
        }
    }
}

/// Runs all checks and prints the findings.
pub(crate) async fn run(config: &Config, output: &Output) -> CommandResult {
    if config.host.is_simulated() {
        output.note("the simulated host has no prerequisites; `--host user` checks this machine");
        return Ok(Verdict::Done);
    }
    let findings = examine(config).await;
    let ok = !findings.iter().any(Finding::is_error);
    if output.is_json() {
        output.json(&json!({ "version": VERSION, "ok": ok, "checks": findings }));
    } else {
        findings.iter().for_each(|finding| finding.print(output));
    }
    Ok(if ok { Verdict::Done } else { Verdict::Missing })
}

/// Runs all checks.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let (catalog, finding) = files::catalog(config);
    // Whether a unit file is managed depends only on its name, and the built-in names are always known.
    let catalog = Arc::new(catalog.unwrap_or_else(Catalog::builtin));
    let mut findings = config.host.doctor(&catalog).await;
    findings.push(finding);
    findings.push(files::network(&catalog));
    findings.extend(files::state_directory(config, catalog).await);
    findings.extend(package::finding().await);
    if let Some(scope) = config.host.daemon_scope() {
        findings.extend(daemon::findings(scope).await);
    }
    findings
}
