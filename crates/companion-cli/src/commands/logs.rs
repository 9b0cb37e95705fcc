//! `companion logs`: the journal of a companion, shown by `journalctl`.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use adapter_systemd::Scope;
use clap::Args;
use companion_core::model::companion::CompanionName;

use crate::config::{Config, HostKind, known_companion};
use crate::error::{CommandError, CommandResult};

/// Show the log of a companion
///
/// Becomes `journalctl`, whose exit status it has then.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The companion, such as `archy-lnd-ui`
    #[arg(value_name = "NAME")]
    name: String,
    /// Go on showing lines as they come
    #[arg(short, long)]
    follow: bool,
    /// Show this many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: u32,
}

/// Becomes `journalctl`.
pub(crate) fn run(arguments: &Arguments, config: &Config) -> CommandResult {
    let HostKind::Real(scope) = config.host else {
        return Err(CommandError::host("the embedded host keeps no log"));
    };
    let name = known_or_wellformed(config, &arguments.name)?;
    let error = Command::new("journalctl").args(argv(scope, &name, arguments)).exec();
    Err(CommandError::host(format!("failed to run `journalctl`: {error}"))
        .hinted("it comes with the package `systemd`"))
}

/// A companion that the catalog dropped still has its log, so any name will do that is one; a name
/// that is an app's is answered with its companions.
fn known_or_wellformed(config: &Config, text: &str) -> CommandResult<CompanionName> {
    let catalog = config.catalog()?;
    let is_app = catalog.apps().any(|(app, _)| app.as_str() == text);
    match CompanionName::new(text) {
        Ok(name) if !is_app => Ok(name),
        _ => known_companion(&catalog, text),
    }
}

/// The arguments: the name is one word that can be no option, by its grammar.
///
/// Not `--output=cat`: that writes control characters as they are, and a container that somebody broke into
/// would command the terminal of whoever reads its log (journalctl(1)).
fn argv(scope: Scope, name: &CompanionName, arguments: &Arguments) -> Vec<String> {
    let selector = match scope {
        Scope::User => "--user-unit",
        Scope::System => "--unit",
    };
    let mut argv = vec![
        format!("{selector}={name}.service"),
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
