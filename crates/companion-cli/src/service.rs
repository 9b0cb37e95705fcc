//! The daemon's service, `companion.service`: its state, and the commands that change it, by `systemctl`.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use adapter_systemd::Scope;
use companion_core::model::companion::CompanionName;
use tokio::process::Command;

use crate::error::{CommandError, CommandResult};

pub(crate) mod unit;
mod usage;

pub(crate) use usage::Usage;

/// The name of the unit.
pub(crate) const UNIT: &str = "companion.service";

/// The timeout for a query.
const ASK_LIMIT: Duration = Duration::from_secs(25);
/// The timeout for a change. A start ends after the first reconcile, for which the unit allows 6 minutes.
const CHANGE_LIMIT: Duration = Duration::from_secs(7 * 60);
/// The maximum length of an error message of `systemctl`.
const MESSAGE_LIMIT: usize = 600;

/// The properties that [`ServiceState`] is read from.
const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,UnitFileState,\
                          FragmentPath,NeedDaemonReload,ExecStart,MainPID,ExecMainStatus,NRestarts";

/// The properties of the daemon's service (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServiceState {
    /// `LoadState`, such as `loaded`, `not-found` or `masked`.
    pub(crate) load: String,
    /// `ActiveState`, such as `active`.
    pub(crate) active: String,
    /// `SubState`, such as `running` or `auto-restart`.
    pub(crate) sub: String,
    /// `Result`, such as `success` or `exit-code`.
    pub(crate) result: String,
    /// `UnitFileState`, such as `enabled`; empty without a unit file.
    pub(crate) unit_file: String,
    /// The unit file that was loaded.
    pub(crate) fragment: Option<PathBuf>,
    /// The program of `ExecStart=`.
    pub(crate) program: Option<PathBuf>,
    /// The daemon's process.
    pub(crate) main_pid: Option<u32>,
    /// The exit status of the last process.
    pub(crate) exit_status: u32,
    /// How often systemd restarted it.
    pub(crate) restarts: u32,
    /// Whether the unit file changed after it was loaded.
    pub(crate) needs_reload: bool,
}

impl ServiceState {
    /// Reads the output of `systemctl show`.
    fn parse(text: &str) -> Self {
        let mut state = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let path = || Some(PathBuf::from(value)).filter(|path| path.is_absolute());
            match key {
                "LoadState" => state.load = value.to_owned(),
                "ActiveState" => state.active = value.to_owned(),
                "SubState" => state.sub = value.to_owned(),
                "Result" => state.result = value.to_owned(),
                "UnitFileState" => state.unit_file = value.to_owned(),
                "FragmentPath" => state.fragment = path(),
                "NeedDaemonReload" => state.needs_reload = value == "yes",
                "ExecStart" => state.program = program_of(value),
                "MainPID" => state.main_pid = value.parse().ok().filter(|pid| *pid != 0),
                "ExecMainStatus" => state.exit_status = value.parse().unwrap_or_default(),
                "NRestarts" => state.restarts = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        state
    }

    /// Returns whether the daemon runs and is ready.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Returns whether it is crash-looping or failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.sub.starts_with("auto-restart") || self.active == "failed"
    }

    /// Returns whether systemd starts it with the scope's target.
    pub(crate) fn is_enabled(&self) -> bool {
        matches!(self.unit_file.as_str(), "enabled" | "enabled-runtime")
    }

    /// Returns whether the process of the daemon runs the file `program`; `None` if it cannot be inspected.
    ///
    /// A program that an upgrade replaced is another file at the same path.
    pub(crate) fn runs(&self, program: &Path) -> Option<bool> {
        same_file(Path::new(&format!("/proc/{}/exe", self.main_pid?)), program)
    }
}

/// Returns the program of `{ path=/usr/bin/companion ; argv[]=… }`.
fn program_of(value: &str) -> Option<PathBuf> {
    let path = value.strip_prefix("{ path=")?.split(" ; ").next()?;
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

/// Returns whether both paths refer to the same file; `None` if one cannot be inspected.
pub(crate) fn same_file(one: &Path, other: &Path) -> Option<bool> {
    let identity = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    };
    Some(identity(one)? == identity(other)?)
}

/// Returns the argument of `journalctl` that selects the log of `unit`.
pub(crate) fn journal_selector(scope: Scope, unit: &str) -> String {
    match scope {
        Scope::User => format!("--user-unit={unit}"),
        Scope::System => format!("--unit={unit}"),
    }
}

/// Returns whether `path` is an executable file; `None` if it cannot be inspected.
pub(crate) fn is_executable(path: &Path) -> Option<bool> {
    let found = std::fs::metadata(path).ok()?;
    Some(found.is_file() && found.mode() & 0o111 != 0)
}

/// The `systemctl` command of a scope.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Systemctl {
    scope: Scope,
}

impl Systemctl {
    /// Creates the command for `scope`.
    pub(crate) fn new(scope: Scope) -> Self {
        Self { scope }
    }

    /// Returns the command for messages.
    pub(crate) fn shown(self) -> &'static str {
        match self.scope {
            Scope::User => "systemctl --user",
            Scope::System => "systemctl",
        }
    }

    /// Returns the command that shows the daemon's last log lines.
    pub(crate) fn log_command(self) -> String {
        format!("journalctl {} --lines=20", journal_selector(self.scope, UNIT))
    }

    /// Queries the state of the daemon's service.
    ///
    /// # Errors
    /// A missing prerequisite: no `systemctl`, or no service manager that responds.
    pub(crate) async fn state(self) -> CommandResult<ServiceState> {
        let text = self.ask(&["show", PROPERTIES, UNIT]).await?;
        Ok(ServiceState::parse(&text))
    }

    /// Queries what the service of each of `names` uses.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub(crate) async fn usage(
        self,
        names: impl Iterator<Item = &CompanionName>,
    ) -> CommandResult<BTreeMap<CompanionName, Usage>> {
        let units: Vec<String> = names.map(|name| format!("{name}.service")).collect();
        // Without a unit, `show` prints the properties of the manager.
        if units.is_empty() {
            return Ok(BTreeMap::new());
        }
        let words = ["show", usage::PROPERTIES].into_iter();
        let words: Vec<_> = words.chain(units.iter().map(String::as_str)).collect();
        Ok(usage::parse(&self.ask(&words).await?))
    }

    /// Queries the directory of the operator's units.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub(crate) async fn unit_directory(self) -> CommandResult<PathBuf> {
        if self.scope == Scope::System {
            return Ok(PathBuf::from("/etc/systemd/system"));
        }
        let text = self.ask(&["show", "--property=UnitPath", "--value"]).await?;
        let own = text.split_whitespace().find(|path| path.ends_with("/systemd/user"));
        own.map(PathBuf::from).filter(|path| path.is_absolute()).ok_or_else(|| {
            CommandError::host("the user's systemd does not report its unit directory")
        })
    }

    async fn ask(self, words: &[&str]) -> CommandResult<String> {
        self.output(words, ASK_LIMIT).await.map_err(|message| {
            let manager = match self.scope {
                Scope::User => "the user's systemd",
                Scope::System => "the system's systemd",
            };
            CommandError::host(format!("failed to query {manager}: {message}"))
        })
    }

    /// Runs a `systemctl` command that changes something, and waits for it.
    ///
    /// # Errors
    /// A failure with the message of `systemctl`.
    pub(crate) async fn change(self, words: &[&str]) -> CommandResult<()> {
        let ended = self.output(words, CHANGE_LIMIT).await;
        ended.map(|_nothing| ()).map_err(CommandError::failure)
    }

    /// Returns its output, or the error message.
    async fn output(self, words: &[&str], limit: Duration) -> Result<String, String> {
        let mut command = Command::new("systemctl");
        if self.scope == Scope::User {
            command.arg("--user");
            // Processes started by su, sudo or cron have neither variable.
            let known = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
            if known.iter().all(|name| std::env::var_os(name).is_none()) {
                let uid = rustix::process::getuid().as_raw();
                command.env("XDG_RUNTIME_DIR", format!("/run/user/{uid}"));
            }
        }
        command.args(words).env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(limit, command.output()).await;
        let ended = ended.map_err(|_| format!("no answer within {} s", limit.as_secs()))?;
        let ended = ended.map_err(|error| format!("failed to run `systemctl`: {error}"))?;
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
        let message = one_line(&String::from_utf8_lossy(&ended.stderr));
        Err(match message.is_empty() {
            true => format!("`systemctl {}` ended with {}", words.join(" "), ended.status),
            false => message,
        })
    }
}

/// Returns the message of another program on one line, bounded and without control characters.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).take(MESSAGE_LIMIT).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The state of a daemon that runs.
    pub(crate) fn running() -> ServiceState {
        ServiceState {
            load: "loaded".into(),
            active: "active".into(),
            sub: "running".into(),
            result: "success".into(),
            unit_file: "enabled".into(),
            fragment: Some("/u/companion.service".into()),
            ..ServiceState::default()
        }
    }

    #[test]
    fn a_unit_that_is_not_found_has_neither_file_nor_program() {
        let text = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nFragmentPath=\n";
        let state = ServiceState::parse(text);
        assert_eq!((state.fragment, state.program), (None, None));
    }

    #[test]
    fn a_message_is_one_bounded_line_without_escapes() {
        let shown = one_line(&format!("Failed:\n \u{1b}[31m{}", "x".repeat(5000)));
        assert!(shown.starts_with("Failed: [31mxx") && shown.len() <= MESSAGE_LIMIT);
    }
}
