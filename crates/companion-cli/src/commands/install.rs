//! `companion install`: records apps as installed and starts their companions.

use archipelago_companions::AppId;
use clap::Args;

use super::report::carry_out;
use crate::config::Config;
use crate::error::CommandResult;
use crate::hosts::{open, store, valid_catalog};
use crate::names;
use crate::output::Output;

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
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let catalog = valid_catalog(&*store(config).await?)?;
    let has_companions = |app: &AppId| !catalog.companions_for(app).is_empty();
    let texts = arguments.apps.iter().map(String::as_str);
    let apps = names::apps(&catalog, texts, has_companions, has_companions, output)?;
    let companions = open(config, output).await?;
    Ok(carry_out(&companions, companions.record_apps(&apps, &[]), config, output).await?.0)
}
