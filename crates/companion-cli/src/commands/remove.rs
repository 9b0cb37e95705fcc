//! `companion remove`: records that apps are gone, and has their companions removed.

use archipelago::{AppId, Intent};
use clap::Args;

use super::install::{converge, unknown_app};
use crate::config::Config;
use crate::error::CommandResult;
use crate::hosts::{IntentIs, Opening, Session};
use crate::output::Output;
use crate::runtime::block_on;

/// Record that apps are gone, and remove their companions
///
/// What goes is the service, its unit, its container and its rendered configuration. A companion
/// that another installed app has too stays. An app that was recorded once can be removed although
/// no catalog knows it any more, or the catalog is broken. While the daemon runs, it does the work,
/// and this command shows its progress and waits.
///
/// Exit status: 0 when nothing of them is left, 1 when something is, 2 for an unknown app or options
/// that differ from those of the process that leads, 3 when the host lacks something; nothing is
/// recorded in the last two cases.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The apps, such as `lnd`
    #[arg(required = true, value_name = "APP")]
    apps: Vec<String>,
}

/// Removes.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config.host, async {
        let opening = Opening::new(config, "companion remove").showing(output);
        let session = opening.open(output).await?;
        let apps = apps(&session, &arguments.apps).await?;
        let intent = async { Ok(session.companions.record_removal(&apps).await?) };
        let (generation, names) = session.unless_interrupted(IntentIs::Pending, intent).await?;
        let work = converge(&session.companions, generation, &names, Intent::Removed, output);
        session.unless_interrupted(IntentIs::Recorded, work).await
    })
}

async fn apps(session: &Session, texts: &[String]) -> CommandResult<Vec<AppId>> {
    let catalog = session.companions.catalog();
    let recorded = session.companions.installed().await?;
    let known = |app: &AppId| !catalog.companions_for(app).is_empty() || recorded.contains(app);
    let apps = texts.iter().map(|text| {
        AppId::new(text.as_str()).ok().filter(known).ok_or_else(|| unknown_app(&catalog, text))
    });
    apps.collect()
}
