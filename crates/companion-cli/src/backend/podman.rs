//! systemd and Podman as a host of the command: doctor, logs and unit files.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use adapter_systemd::{RenderedUnit, Scope, UnloadableUnits, render_unit};
use archipelago_companions::Catalog;
use archipelago_companions::host::{PODMAN_FLOOR, SystemdPodman};
use async_trait::async_trait;
use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore as _;
use quadlet::PodmanVersion;

use super::{CommandBackend, user_catalog};
use crate::commands::doctor::Finding;
use crate::error::CommandError;

mod account;
mod parts;
mod trial;
mod units;

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

    fn has_log(&self, name: &CompanionName) -> bool {
        let has_unit = self
            .units(PODMAN_FLOOR)
            .is_ok_and(|units| units.path().join(format!("{name}.container")).exists());
        has_unit || {
            let last = [selector(self.scope(), name), "--quiet".into(), "--lines=1".into()];
            let printed = Command::new("journalctl").args(last).stdin(Stdio::null()).output();
            printed.is_ok_and(|printed| printed.status.success() && !printed.stdout.is_empty())
        }
    }

    fn log_command(
        &self,
        name: &CompanionName,
        lines: u32,
        follow: bool,
    ) -> Result<Command, CommandError> {
        let mut command = Command::new("journalctl");
        command.args(log_arguments(self.scope(), name, lines, follow));
        Ok(command)
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

fn selector(scope: Scope, name: &CompanionName) -> String {
    match scope {
        Scope::User => format!("--user-unit={name}.service"),
        Scope::System => format!("--unit={name}.service"),
    }
}

/// Returns the arguments of `journalctl`. The grammar of names excludes options.
///
/// Not `--output=cat`: it prints control characters unescaped, so a compromised container could control the
/// terminal that shows its log (journalctl(1)).
fn log_arguments(scope: Scope, name: &CompanionName, lines: u32, follow: bool) -> Vec<String> {
    let mut arguments = vec![
        selector(scope, name),
        "--output=short".to_owned(),
        "--no-hostname".to_owned(),
        format!("--lines={lines}"),
    ];
    if follow {
        arguments.push("--follow".to_owned());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_its_own_journal_field() {
        let name = CompanionName::new("archy-lnd-ui").unwrap();
        assert_eq!(
            log_arguments(Scope::User, &name, 5, true),
            [
                "--user-unit=archy-lnd-ui.service",
                "--output=short",
                "--no-hostname",
                "--lines=5",
                "--follow"
            ]
        );
        let system = log_arguments(Scope::System, &name, 5, true);
        assert_eq!(system[0], "--unit=archy-lnd-ui.service");
    }

    #[test]
    fn root_has_the_system_scope_and_others_the_user_scope() {
        assert_eq!((scope_of(0), scope_of(1000)), (Scope::System, Scope::User));
    }
}
