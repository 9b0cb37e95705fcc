//! `companion remove`: records apps as removed and removes their companions.

use archipelago_companions::{AppId, Intent};
use clap::Args;

use super::install::{converge, noted};
use crate::config::Config;
use crate::error::CommandResult;
use crate::hosts::{IntentIs, Opening, Session};
use crate::names;
use crate::output::Output;
use crate::runtime::block_on;

/// Record apps as removed, and remove their companions
///
/// Removes the service, its unit, its container and its rendered configuration. A companion that
/// another installed app needs stays. A recorded app can be removed even if it is no longer in the
/// catalog or the catalog is invalid. While the daemon runs, it does the work, and this command shows
/// its progress and waits.
///
/// Exit status: 0 if the companions are removed, 1 if something remains, 2 for an unknown app or options
/// that differ from those of the leader, 3 if a prerequisite is missing. Nothing is recorded in the last
/// two cases.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion remove lnd                           remove the companion of lnd")]
pub(crate) struct Arguments {
    /// The apps, such as `lnd`, or companions of one installed app
    #[arg(required = true, value_name = "NAME", add = names::completions())]
    apps: Vec<String>,
}

/// Records the removal and waits for the result.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config, async {
        let opening = Opening::new(config, "companion remove").showing(output);
        let session = opening.open(output).await?;
        let apps = apps(&session, &arguments.apps, output).await?;
        let intent = async { Ok(session.companions.record_removal(&apps).await?) };
        let (generation, names) = session.unless_interrupted(IntentIs::Pending, intent).await?;
        let (companions, intent) = (&session.companions, Intent::Removed);
        let work = converge(companions, generation, &names, intent, config, output);
        session.unless_interrupted(IntentIs::Recorded, work).await
    })
}

/// Returns the apps that `texts` name: apps of the catalog or the record, or companions of one installed app.
async fn apps(session: &Session, texts: &[String], output: &Output) -> CommandResult<Vec<AppId>> {
    let catalog = session.companions.catalog();
    let recorded = session.companions.installed().await?;
    let known = |app: &AppId| !catalog.companions_for(app).is_empty() || recorded.contains(app);
    let is_installed = |app: &AppId| recorded.contains(app);
    noted(texts.iter().map(|text| names::app(&catalog, text, known, is_installed)), output)
}
