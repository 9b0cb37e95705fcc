//! The hosts that a command can work on.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use adapter_systemd::{RenderedUnit, Scope, UnloadableUnits};
use archipelago_companions::Catalog;
use archipelago_companions::host::{Backend, user_catalog};
use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitSpec;
use quadlet::PodmanVersion;

use crate::commands::doctor::Finding;
use crate::error::{CommandError, CommandResult};

mod podman;
#[cfg(feature = "demo")]
pub(crate) mod sim;

/// A host of `--host`, with what commands need in addition to its wiring.
///
/// `SystemdPodman` is one. A program gives its own to [`main_with`](crate::main_with).
#[async_trait]
pub trait CommandBackend: Backend {
    /// What the host is, for the help of `--host`; one line without a full stop.
    fn description(&self) -> &'static str;

    /// Whether `--host auto` may select it, for the user of this process. The first such host is selected.
    fn is_automatic(&self) -> bool {
        true
    }

    /// Whether the host starts empty and ends with the command. Then no leader is followed, nothing is
    /// examined before the command, and commands run on virtual time (with the feature `demo`).
    fn is_simulated(&self) -> bool {
        false
    }

    /// The service manager in which `companion setup` installs the daemon; `None` if it cannot.
    fn daemon_scope(&self) -> Option<Scope> {
        None
    }

    /// The catalog file that is read when none is given, if it exists.
    fn default_catalog(&self) -> Option<PathBuf> {
        user_catalog()
    }

    /// Whether the host has managed units, although nothing may be recorded.
    ///
    /// # Errors
    /// Fails if that cannot be read.
    async fn has_units(&self) -> Result<bool, CommandError> {
        Ok(true)
    }

    /// Checks the prerequisites, for the companions of a catalog.
    async fn doctor(&self, _catalog: &Catalog) -> Vec<Finding> {
        Vec::new()
    }

    /// The unit files that a reload of the service manager would not load, and the companions it would drop.
    ///
    /// # Errors
    /// Fails if that cannot be examined.
    async fn unloadable(&self) -> Result<UnloadableUnits, CommandError> {
        Ok(UnloadableUnits::default())
    }

    /// The command that shows the log lines of a query.
    ///
    /// # Errors
    /// Fails for a host without a log.
    fn log_command(&self, _query: &LogQuery) -> Result<Command, CommandError> {
        Err(CommandError::host(format!("the host `{}` has no log", self.name())))
    }

    /// The text of the unit file of a companion; `None` without a file.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    fn unit_text(&self, _name: &CompanionName) -> Result<Option<String>, CommandError> {
        Ok(None)
    }

    /// The version of Podman that units are rendered for.
    ///
    /// # Errors
    /// Fails if it is unknown.
    async fn rendered_for(&self) -> Result<PodmanVersion, CommandError> {
        Ok(PodmanVersion::FLOOR)
    }

    /// The unit file of a companion, for a version of Podman.
    ///
    /// # Errors
    /// Fails for a host without unit files, and for a setting that a unit file cannot express.
    fn render(
        &self,
        _unit: &UnitSpec,
        _version: PodmanVersion,
    ) -> Result<RenderedUnit, CommandError> {
        Err(CommandError::input(format!("the host `{}` has no unit files", self.name())))
    }
}

/// The log lines that a command shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// The companions.
    pub companions: Vec<CompanionName>,
    /// Whether the lines of the daemon are shown, too.
    pub daemon: bool,
    /// The maximum number of lines, the newest ones; all without.
    pub lines: Option<u32>,
    /// The time of the first line, in the words of the host's log.
    pub since: Option<String>,
    /// Whether new lines are shown until the command is stopped.
    pub follow: bool,
}

/// The hosts of the `companion` command: `user`, `system`, and with the feature `demo` `sim`.
pub fn backends() -> Vec<Arc<dyn CommandBackend>> {
    use archipelago_companions::host::SystemdPodman;
    vec![
        Arc::new(SystemdPodman::new(Scope::User)),
        Arc::new(SystemdPodman::new(Scope::System)),
        #[cfg(feature = "demo")]
        Arc::new(sim::SimulatedHost::default()),
    ]
}

/// The argument that selects the first automatic host.
pub(crate) const AUTO: &str = "auto";

/// Returns the host with the name `name`.
///
/// # Errors
/// Bad input without such a host.
pub(crate) fn select(
    backends: &[Arc<dyn CommandBackend>],
    name: &str,
) -> CommandResult<Arc<dyn CommandBackend>> {
    let is_meant = |backend: &&Arc<dyn CommandBackend>| match name {
        AUTO => backend.is_automatic(),
        name => backend.name() == name,
    };
    backends.iter().find(is_meant).cloned().ok_or_else(|| {
        CommandError::input(format!("`--host {name}` selects no host of this program"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Verdict;

    #[test]
    fn auto_never_selects_the_simulated_host() {
        let all = backends();
        let name = |argument| select(&all, argument).map(|backend| backend.name());
        let root = rustix::process::geteuid().is_root();
        assert_eq!(name(AUTO).unwrap(), if root { "system" } else { "user" });
        assert_eq!((name("user").unwrap(), name("system").unwrap()), ("user", "system"));
        let simulated = all.iter().filter(|backend| backend.is_simulated());
        assert!(simulated.into_iter().all(|backend| !backend.is_automatic()));
        assert_eq!(name("docker").unwrap_err().verdict, Verdict::Invalid);
    }
}
