//! `companion logs`: shows the journal of companions with `journalctl`.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use archipelago_companions::Catalog;
use clap::Args;
use companion_core::model::companion::CompanionName;

use crate::backend::LogQuery;
use crate::config::Config;
use crate::error::{CommandError, CommandResult};
use crate::names;

/// The number of lines without options.
const LINES: u32 = 100;

/// Show the log of companions
///
/// Runs `journalctl` for the services of the companions, sorted by time. A companion outside the catalog
/// has a log as long as it has a unit or journal entries, even if the catalog is invalid. With --all, also
/// for the daemon.
///
/// Exit status: that of `journalctl`; 2 for an unknown name, 3 without `journalctl`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion logs lnd                             the last 100 lines
  companion logs --follow --lines 20 lnd         the last 20 lines, and new ones
  companion logs --since '1 hour ago' lnd        all lines of the last hour
  companion logs --all --since today             all companions and the daemon, today")]
pub(crate) struct Arguments {
    /// The companions, such as `archy-lnd-ui`, or apps
    #[arg(required_unless_present = "all", value_name = "NAME", add = names::completions())]
    names: Vec<String>,
    /// Show all companions of the catalog, and the daemon
    #[arg(short, long, conflicts_with = "names")]
    all: bool,
    /// Keep printing new lines
    #[arg(short, long)]
    follow: bool,
    /// Print at most this many lines, the newest ones [default: 100, or all with --since]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<u32>,
    /// Print lines from this time on, such as `2026-11-29 14:00`, `today` or `-1h` (journalctl(1))
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
}

/// Replaces this process by the command that shows the log.
pub(crate) fn run(arguments: &Arguments, config: &Config) -> CommandResult {
    let host = &config.host;
    if host.is_simulated() {
        return Err(CommandError::host("the simulated host has no log"));
    }
    let Arguments { names, all, follow, lines, since } = arguments;
    let query = LogQuery {
        companions: companions(config, names, *all)?.into_iter().collect(),
        daemon: *all,
        lines: lines.or(since.is_none().then_some(LINES)),
        since: since.clone(),
        follow: *follow,
    };
    let mut command = host.log_command(&query)?;
    let error = command.exec();
    let program = command.get_program().display();
    let failed = CommandError::host(format!("failed to run `{program}`: {error}"));
    Err(match command.get_program() == "journalctl" {
        true => failed.hinted("it comes with the package `systemd`"),
        false => failed,
    })
}

/// Returns the companions with the names `texts`: those of the catalog, or with a unit or a log on this host.
fn companions(
    config: &Config,
    texts: &[String],
    all: bool,
) -> CommandResult<BTreeSet<CompanionName>> {
    let (catalog, broken) = match config.catalog() {
        Ok(catalog) => (catalog, None),
        Err(error) => (Catalog::builtin(), Some(error)),
    };
    if all {
        return Ok(catalog.companions().map(|spec| spec.name.clone()).collect());
    }
    let mut companions = BTreeSet::new();
    for text in texts {
        let named = names::companions(&catalog, text, |name| has_log(config, name));
        companions.extend(named.map_err(|unknown| match &broken {
            None => unknown,
            Some(error) => {
                unknown.hinted(format!("only the built-in companions are known: {error}"))
            }
        })?);
    }
    Ok(companions)
}

/// Returns whether a companion outside the catalog has a unit or a log.
fn has_log(config: &Config, name: &CompanionName) -> bool {
    if matches!(config.host.unit_text(name), Ok(Some(_))) {
        return true;
    }
    let companions = vec![name.clone()];
    let query = LogQuery { companions, lines: Some(1), ..LogQuery::default() };
    let printed = config.host.log_command(&query).map(|mut log| log.stdin(Stdio::null()).output());
    matches!(printed, Ok(Ok(printed)) if printed.status.success() && !printed.stdout.is_empty())
}
