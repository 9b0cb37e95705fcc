//! `companion logs`: shows the journal of a companion with `journalctl`.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use adapter_systemd::Scope;
use archipelago_companions::Catalog;
use archipelago_companions::host::PODMAN_FLOOR;
use clap::Args;
use companion_core::model::companion::CompanionName;

use crate::config::{Config, HostKind, known_companion};
use crate::error::{CommandError, CommandResult};

/// Show the log of a companion
///
/// Runs `journalctl` for the service of the companion. A companion outside the catalog has a log as
/// long as it has a unit or journal entries, even if the catalog is invalid.
///
/// Exit status: that of `journalctl`; 2 for an unknown name, 3 without `journalctl`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The companion, such as `archy-lnd-ui`
    #[arg(value_name = "NAME")]
    name: String,
    /// Keep printing new lines
    #[arg(short, long)]
    follow: bool,
    /// Print this many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: u32,
}

/// Replaces this process by `journalctl`.
pub(crate) fn run(arguments: &Arguments, config: &Config) -> CommandResult {
    let HostKind::Real(scope) = config.host else {
        return Err(CommandError::host("the simulated host has no log"));
    };
    let name = companion(scope, config, &arguments.name)?;
    let error = Command::new("journalctl").args(argv(scope, &name, arguments)).exec();
    Err(CommandError::host(format!("failed to run `journalctl`: {error}"))
        .hinted("it comes with the package `systemd`"))
}

/// Returns the companion with the name `text`: one of the catalog, or one with a unit or a log on this host.
fn companion(scope: Scope, config: &Config, text: &str) -> CommandResult<CompanionName> {
    let (catalog, broken) = match config.catalog() {
        Ok(catalog) => (catalog, None),
        Err(error) => (Catalog::builtin(), Some(error)),
    };
    let unknown = match known_companion(&catalog, text) {
        Ok(name) => return Ok(name),
        Err(unknown) => unknown,
    };
    let of_host = CompanionName::new(text).ok().filter(|name| is_on_host(scope, name));
    match (of_host, broken) {
        (Some(name), _) => Ok(name),
        (None, None) => Err(unknown),
        (None, Some(error)) => {
            Err(unknown.hinted(format!("only the built-in companions are known: {error}")))
        }
    }
}

/// Returns whether a unit of this name exists, or a log of its service.
fn is_on_host(scope: Scope, name: &CompanionName) -> bool {
    let has_unit = archipelago_companions::host::units(scope, PODMAN_FLOOR)
        .is_ok_and(|units| units.path().join(format!("{name}.container")).exists());
    has_unit || {
        let last = [selector(scope, name), "--quiet".into(), "--lines=1".into()];
        let printed = Command::new("journalctl").args(last).stdin(Stdio::null()).output();
        printed.is_ok_and(|printed| printed.status.success() && !printed.stdout.is_empty())
    }
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
fn argv(scope: Scope, name: &CompanionName, arguments: &Arguments) -> Vec<String> {
    let mut argv = vec![
        selector(scope, name),
        "--output=short".to_owned(),
        "--no-hostname".to_owned(),
        format!("--lines={}", arguments.lines),
    ];
    if arguments.follow {
        argv.push("--follow".to_owned());
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_its_own_journal_field() {
        let name = CompanionName::new("archy-lnd-ui").unwrap();
        let arguments = Arguments { name: name.to_string(), follow: true, lines: 5 };
        assert_eq!(
            argv(Scope::User, &name, &arguments),
            [
                "--user-unit=archy-lnd-ui.service",
                "--output=short",
                "--no-hostname",
                "--lines=5",
                "--follow"
            ]
        );
        assert_eq!(argv(Scope::System, &name, &arguments)[0], "--unit=archy-lnd-ui.service");
    }
}
