//! Checks the daemon: whether it is installed, runs, and runs this program.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use adapter_systemd::Scope;
use tokio::process::Command;

use super::Finding;
use crate::service::{ServiceState, Systemctl, UNIT, is_executable, same_file};

/// The name of this check.
pub(super) const CHECK: &str = "daemon";

/// The command that fixes most findings.
const SETUP: &str = "companion setup";

/// Where the administrator installs units of all users' managers; systemd reads them before a home is mounted.
const GLOBAL: &str = "/etc/systemd/user";

/// The timeout for `PROGRAM --version`.
const VERSION_LIMIT: Duration = Duration::from_secs(5);

/// Queries systemd about the daemon.
pub(super) async fn findings(scope: Scope) -> Vec<Finding> {
    let systemctl = Systemctl::new(scope);
    let state = match systemctl.state().await {
        Ok(state) => state,
        Err(error) => {
            let found = format!("failed to query its state: {error}");
            return vec![Finding::warning(CHECK, found, "fix `systemd` above first")];
        }
    };
    let mut findings = vec![service(&state, systemctl)];
    if let Some(program) = &state.program {
        let own = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
        findings.extend(program_of_unit(program, own.as_deref(), &state).await);
    }
    findings
}

/// Checks the state of the service.
fn service(state: &ServiceState, systemctl: Systemctl) -> Finding {
    let manager = systemctl.shown();
    match state.load.as_str() {
        "loaded" => {}
        "not-found" => {
            let found = format!("{UNIT} is not installed, so nothing reconciles");
            return Finding::warning(CHECK, found, SETUP);
        }
        "masked" => {
            let found = format!("{UNIT} is masked, so nothing reconciles");
            return Finding::warning(CHECK, found, format!("{manager} unmask {UNIT}"));
        }
        load => {
            let found = format!("systemd cannot load {UNIT} ({load})");
            return Finding::error(CHECK, found, SETUP);
        }
    }
    if state.is_failing() {
        return failing(state, systemctl);
    }
    let file = state.fragment.as_deref().unwrap_or(Path::new(UNIT));
    let place = file.display();
    if !state.is_running() && state.active != "activating" {
        let found = format!("{place} is not running ({})", state.active);
        let is_in_home = !["/etc", "/run", "/usr"].iter().any(|system| file.starts_with(system));
        let late = format!(
            ", although enabled; if systemd starts before the home directory is mounted, install the unit in {GLOBAL}"
        );
        let found = if state.is_enabled() && is_in_home { found + &late } else { found };
        return Finding::warning(CHECK, found, format!("{manager} start {UNIT}"));
    }
    if state.active == "activating" && state.restarts > 0 {
        let found = format!("starting, after {} restart(s)", state.restarts);
        return Finding::warning(CHECK, found, systemctl.log_command());
    }
    if !state.is_enabled() {
        let found = format!("{place} runs, but is not enabled, so it does not start at boot");
        return Finding::warning(CHECK, found, format!("{manager} enable {UNIT}"));
    }
    if state.needs_reload {
        let found = format!("{place} changed after systemd loaded it");
        return Finding::warning(CHECK, found, SETUP);
    }
    let running = if state.is_running() { "running" } else { "starting" };
    Finding::ok(CHECK, format!("{running}, enabled, {place}"))
}

fn failing(state: &ServiceState, systemctl: Systemctl) -> Finding {
    let why = match (state.result.as_str(), state.exit_status) {
        ("exit-code", 203) => "systemd cannot execute its program (status 203/EXEC)".to_owned(),
        ("exit-code", 2) => "it refuses its options or its catalog (status 2)".to_owned(),
        ("exit-code", status) => format!("it exited with status {status}"),
        (result, _) => format!("ended ({result})"),
    };
    let fix = if state.exit_status == 203 { SETUP.to_owned() } else { systemctl.log_command() };
    let what = if state.active == "failed" { "failed" } else { "crash-looping" };
    let found = format!("{what}: {why}, {} restart(s)", state.restarts);
    Finding::error(CHECK, found, fix)
}

/// Compares the program of `ExecStart=` with this one, `own`, and with the one that the daemon runs.
async fn program_of_unit(program: &Path, own: Option<&Path>, state: &ServiceState) -> Vec<Finding> {
    let shown = program.display();
    let unusable = match is_executable(program) {
        None => Some("does not exist"),
        Some(false) => Some("is not executable"),
        Some(true) => None,
    };
    if let Some(why) = unusable {
        let found = format!("its unit executes `{shown}`, which {why}");
        return vec![Finding::error(CHECK, found, SETUP)];
    }
    let mut findings = Vec::new();
    if own.and_then(|own| same_file(own, program)) != Some(true) {
        let found = format!(
            "its unit executes `{shown}` ({}), but this is `{}` (companion {})",
            version_of(program).await,
            own.map_or("unknown".into(), |own| own.display().to_string()),
            env!("CARGO_PKG_VERSION")
        );
        findings.push(Finding::warning(CHECK, found, format!("{SETUP}, or use `{shown}`")));
    }
    if state.runs(program) == Some(false) {
        let found = format!(
            "`{shown}` was replaced after the daemon started; the daemon runs the old version"
        );
        findings.push(Finding::warning(CHECK, found, SETUP));
    }
    findings
}

/// Returns the first line of `PROGRAM --version`, or `unknown version`.
async fn version_of(program: &Path) -> String {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let printed = tokio::time::timeout(VERSION_LIMIT, command.output()).await;
    let printed = printed.ok().and_then(Result::ok).filter(|ended| ended.status.success());
    let text = printed.map(|ended| String::from_utf8_lossy(&ended.stdout).into_owned());
    let line = text.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(80).collect();
    if line.is_empty() { "unknown version".to_owned() } else { line }
}

#[cfg(test)]
mod tests;
