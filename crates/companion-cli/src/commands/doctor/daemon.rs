//! Checks the daemon: whether it is installed, runs, and runs this program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use adapter_systemd::Scope;
use tokio::process::Command;

use super::Finding;
use crate::service::{ServiceState, Systemctl, UNIT, same_file};

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
    let own = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
    let mut findings = vec![service(&state, systemctl)];
    if let Some(program) = &state.program {
        let named = Named::at(program, own.as_deref()).await;
        findings.extend(program_of_unit(program, &named));
        let is_old = named.is_good() && state.runs(program) == Some(false);
        findings.extend(is_old.then(|| old_program(program)));
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
    let (why, fix) = match (state.result.as_str(), state.exit_status) {
        ("exit-code", 203) => {
            ("systemd cannot execute its program (status 203/EXEC)".to_owned(), SETUP.to_owned())
        }
        ("exit-code", 2) => {
            ("it refuses its options or its catalog (status 2)".to_owned(), systemctl.log_command())
        }
        ("exit-code", status) => {
            (format!("it exited with status {status}"), systemctl.log_command())
        }
        (result, _) => (format!("ended ({result})"), systemctl.log_command()),
    };
    let what = match state.active.as_str() {
        "failed" => "failed",
        _ => "crash-looping",
    };
    let found = format!("{what}: {why}, {} restart(s)", state.restarts);
    Finding::error(CHECK, found, fix)
}

/// The program of `ExecStart=`.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    /// It cannot be executed.
    Unusable(&'static str),
    /// It is this program.
    Own,
    /// It is another program, with its reported version.
    Other { own: Option<PathBuf>, version: String },
}

impl Named {
    async fn at(program: &Path, own: Option<&Path>) -> Self {
        match std::fs::metadata(program) {
            Err(_missing) => return Self::Unusable("does not exist"),
            Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
                return Self::Unusable("is not executable");
            }
            Ok(_) => {}
        }
        if own.and_then(|own| same_file(own, program)) == Some(true) {
            return Self::Own;
        }
        Self::Other { own: own.map(Path::to_owned), version: version_of(program).await }
    }

    fn is_good(&self) -> bool {
        !matches!(self, Self::Unusable(_))
    }
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

fn program_of_unit(program: &Path, named: &Named) -> Option<Finding> {
    let shown = program.display();
    match named {
        Named::Own => None,
        Named::Unusable(why) => {
            let found = format!("its unit executes `{shown}`, which {why}");
            Some(Finding::error(CHECK, found, SETUP))
        }
        Named::Other { own, version } => {
            let own = own.as_ref().map_or("unknown".into(), |own| own.display().to_string());
            let found = format!(
                "its unit executes `{shown}` ({version}), but this is `{own}` (companion {})",
                env!("CARGO_PKG_VERSION")
            );
            let fix = format!("{SETUP}, or use `{shown}`");
            Some(Finding::warning(CHECK, found, fix))
        }
    }
}

fn old_program(program: &Path) -> Finding {
    let found = format!(
        "`{}` was replaced after the daemon started; the daemon runs the old version",
        program.display()
    );
    Finding::warning(CHECK, found, SETUP)
}

#[cfg(test)]
mod tests;
