//! `companion logs`: shows the journal of a companion with `journalctl`.

use std::os::unix::process::CommandExt as _;

use archipelago_companions::Catalog;
use clap::Args;
use companion_core::model::companion::CompanionName;

use crate::config::{Config, known_companion};
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

/// Replaces this process by the command that shows the log.
pub(crate) fn run(arguments: &Arguments, config: &Config) -> CommandResult {
    let host = &config.host;
    if host.is_simulated() {
        return Err(CommandError::host("the simulated host has no log"));
    }
    let Arguments { name, follow, lines } = arguments;
    let name = companion(config, name)?;
    let mut command = host.log_command(&name, *lines, *follow)?;
    let error = command.exec();
    let program = command.get_program().display();
    let failed = CommandError::host(format!("failed to run `{program}`: {error}"));
    Err(match command.get_program() == "journalctl" {
        true => failed.hinted("it comes with the package `systemd`"),
        false => failed,
    })
}

/// Returns the companion with the name `text`: one of the catalog, or one with a unit or a log on this host.
fn companion(config: &Config, text: &str) -> CommandResult<CompanionName> {
    let (catalog, broken) = match config.catalog() {
        Ok(catalog) => (catalog, None),
        Err(error) => (Catalog::builtin(), Some(error)),
    };
    let unknown = match known_companion(&catalog, text) {
        Ok(name) => return Ok(name),
        Err(unknown) => unknown,
    };
    let of_host = CompanionName::new(text).ok().filter(|name| config.host.has_log(name));
    match (of_host, broken) {
        (Some(name), _) => Ok(name),
        (None, None) => Err(unknown),
        (None, Some(error)) => {
            Err(unknown.hinted(format!("only the built-in companions are known: {error}")))
        }
    }
}
