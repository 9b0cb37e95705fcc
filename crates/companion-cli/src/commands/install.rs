//! `companion install`: records apps as installed and starts their companions.

use archipelago_companions::{AppId, Catalog};
use clap::Args;

use super::report::carry_out;
use crate::config::Config;
use crate::error::CommandResult;
use crate::hosts::Opening;
use crate::names::{self, NamedApp};
use crate::output::Output;
use crate::runtime::block_on;

/// Record apps as installed, and start their companions
///
/// Records the intent durably first. While the daemon runs, it does the work, and this command shows
/// its progress and waits; otherwise this command does the work itself. If one app is unknown, nothing
/// is recorded. Installing an installed app again repairs it, without waiting for a back-off.
///
/// Exit status: 0 if all companions of these apps are ready, 1 if one is not, 2 for an unknown app, an
/// invalid catalog, or options that differ from those of the leader, 3 if a prerequisite is missing.
/// Nothing is recorded in the last two cases.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion install lnd                          start the companion of lnd
  companion install bitcoin-knots electrumx      several apps
  companion --host sim install lnd               try it on the simulated host")]
pub(crate) struct Arguments {
    /// The apps, such as `lnd`, or companions of one app; `companion catalog` lists them
    #[arg(required = true, value_name = "NAME", add = names::completions())]
    apps: Vec<String>,
}

/// Records the intent and waits for the result.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config, async {
        let opening = Opening::new(config, "companion install").showing(output);
        let inputs = opening.store().await?.inputs().refresh();
        if let Some(problem) = inputs.problem {
            return Err(problem.into());
        }
        let catalog = inputs.catalog.unwrap_or_else(|| Catalog::builtin().into());
        let has_companions = |app: &AppId| !catalog.companions_for(app).is_empty();
        let named = |text: &String| names::app(&catalog, text, has_companions, has_companions);
        let apps = noted(arguments.apps.iter().map(named), output)?;
        let companions = opening.open(output).await?;
        Ok(carry_out(&companions, companions.record_apps(&apps, &[]), config, output).await?.0)
    })
}

/// Returns the named apps, and prints the notes about their names.
pub(super) fn noted(
    named: impl Iterator<Item = CommandResult<NamedApp>>,
    output: &Output,
) -> CommandResult<Vec<AppId>> {
    let named = named.collect::<CommandResult<Vec<_>>>()?;
    named.iter().filter_map(|named| named.note.as_ref()).for_each(|note| output.note(note));
    Ok(named.into_iter().map(|named| named.app).collect())
}
