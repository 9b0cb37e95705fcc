//! systemd and Podman as a host of the command: doctor, logs and unit files.

use std::path::PathBuf;
use std::process::Command;

use adapter_systemd::{RenderedUnit, Scope, UnloadableUnits, render_unit};
use archipelago_companions::Catalog;
use archipelago_companions::host::{PODMAN_FLOOR, SystemdPodman, user_catalog};
use async_trait::async_trait;
use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore as _;
use durable_dir::Trust;
use quadlet::PodmanVersion;

use super::{CommandBackend, LogQuery};
use crate::commands::doctor::Finding;
use crate::error::CommandError;
use crate::service::{UNIT, journal_selector};

mod account;
mod parts;
mod trial;
mod units;

/// Maximum size of a unit file that is shown, in bytes.
const UNIT_LIMIT: usize = 1024 * 1024;

#[async_trait]
impl CommandBackend for SystemdPodman {
    fn description(&self) -> &'static str {
        match self.scope() {
            Scope::User => "The user's systemd and rootless Podman",
            Scope::System => "The system's systemd and Podman as root",
        }
    }

    fn is_automatic(&self) -> bool {
        self.scope() == scope_of(rustix::process::geteuid().as_raw())
    }

    fn daemon_scope(&self) -> Option<Scope> {
        Some(self.scope())
    }

    fn default_catalog(&self) -> Option<PathBuf> {
        match self.scope() {
            Scope::User => user_catalog(),
            Scope::System => Some(PathBuf::from("/etc/companion/catalog.toml")),
        }
    }

    async fn has_units(&self) -> Result<bool, CommandError> {
        // The version affects the content of units, not their ownership.
        Ok(!self.units(PODMAN_FLOOR)?.list().await?.is_empty())
    }

    async fn doctor(&self, catalog: &Catalog) -> Vec<Finding> {
        let scope = self.scope();
        let health = adapter_systemd::inspect(scope).await;
        let mut findings = parts::service_manager(scope, &health);
        findings.extend(parts::environment(&health));
        findings.push(parts::podman(self).await);
        findings.push(parts::generator(scope, &health));
        if scope == Scope::User {
            findings.extend(account::id_ranges());
        }
        findings.extend(trial::container(self, catalog).await);
        findings.extend(units::unmanaged(self, catalog).await);
        if health.generator.is_ok() {
            findings.extend(units::loadable(scope).await);
        }
        findings
    }

    async fn unloadable(&self) -> Result<UnloadableUnits, CommandError> {
        let managed = match self.units(PODMAN_FLOOR) {
            Ok(units) => units.list().await?,
            // Without a unit directory there are no units to lose.
            Err(_no_directory) => Default::default(),
        };
        if managed.is_empty() {
            return Ok(UnloadableUnits::default());
        }
        Ok(adapter_systemd::unloadable_units(self.scope()).await?)
    }

    fn log_command(&self, query: &LogQuery) -> Result<Command, CommandError> {
        let mut command = Command::new("journalctl");
        command.args(log_arguments(self.scope(), query));
        Ok(command)
    }

    fn unit_text(&self, name: &CompanionName) -> Result<Option<String>, CommandError> {
        let path = self.units(PODMAN_FLOOR)?.path().join(format!("{name}.container"));
        // It is only shown, whoever may change it.
        let contents = durable_dir::read_file(&path, UNIT_LIMIT, Trust::AnyOwner)
            .map_err(|error| CommandError::failure(chain(&error)))?;
        Ok(contents.map(|contents| String::from_utf8_lossy(&contents.bytes).into_owned()))
    }

    async fn rendered_for(&self) -> Result<PodmanVersion, CommandError> {
        Ok(self.podman_version().await?)
    }

    fn render(&self, unit: &UnitSpec, podman: PodmanVersion) -> Result<RenderedUnit, CommandError> {
        render(self.scope(), unit, podman)
    }
}

/// Renders the unit file of `scope`.
pub(super) fn render(
    scope: Scope,
    unit: &UnitSpec,
    podman: PodmanVersion,
) -> Result<RenderedUnit, CommandError> {
    render_unit(unit, scope, podman).map_err(|error| {
        let name = &unit.name;
        CommandError::input(format!("failed to render the unit of `{name}`: {}", chain(&error)))
    })
}

/// Returns the scope of the user `uid`.
fn scope_of(uid: u32) -> Scope {
    if uid == 0 { Scope::System } else { Scope::User }
}

/// Returns the arguments of `journalctl`. The grammar of names excludes options.
///
/// Not `--output=cat`: it prints control characters unescaped, so a compromised container could control the
/// terminal that shows its log (journalctl(1)).
fn log_arguments(scope: Scope, query: &LogQuery) -> Vec<String> {
    let LogQuery { companions, daemon, lines, since, follow } = query;
    let units = companions.iter().map(|name| format!("{name}.service"));
    let units = units.chain(daemon.then(|| UNIT.to_owned()));
    let mut arguments: Vec<_> = units.map(|unit| journal_selector(scope, &unit)).collect();
    let fixed = ["--quiet", "--output=short", "--no-hostname"];
    arguments.extend(fixed.map(str::to_owned));
    arguments.extend(lines.map(|lines| format!("--lines={lines}")));
    arguments.extend(since.iter().map(|since| format!("--since={since}")));
    arguments.extend(follow.then(|| "--follow".to_owned()));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_its_own_journal_field() {
        let companions = vec![CompanionName::new("archy-lnd-ui").unwrap()];
        let query = LogQuery { companions, daemon: true, ..LogQuery::default() };
        for (scope, option) in [(Scope::User, "--user-unit"), (Scope::System, "--unit")] {
            let units = ["archy-lnd-ui", "companion"].map(|it| format!("{option}={it}.service"));
            assert_eq!(log_arguments(scope, &query)[..2], units);
        }
    }

    #[test]
    fn root_has_the_system_scope_and_others_the_user_scope() {
        assert_eq!((scope_of(0), scope_of(1000)), (Scope::System, Scope::User));
    }
}
