//! `companion remove`: records apps as removed and removes their companions.

use archipelago_companions::{AppId, Companions};
use clap::Args;
use companion_core::model::companion::CompanionName;
use companion_core::ports::DesiredStore as _;
use companion_core::status::Health;

use super::report::carry_out;
use crate::config::Config;
use crate::error::{CommandResult, Verdict};
use crate::hosts::open;
use crate::names;
use crate::output::Output;

/// Record apps as removed, and remove their companions
///
/// Removes the service, its unit, its container and its rendered configuration. A companion that
/// another installed app needs stays. A recorded app can be removed even if it is no longer in the
/// catalog or the catalog is invalid. While the daemon runs, it does the work, and this command shows
/// its progress and waits. With --images, the images that were built here are removed, too, unless a
/// container uses them; pulled images and base images stay.
///
/// Exit status: 0 if the companions are removed, 1 if something remains, 2 for an unknown app or options
/// that differ from those of the leader, 3 if a prerequisite is missing. Nothing is recorded in the last
/// two cases.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion remove lnd                           remove the companion of lnd
  companion remove --all --images                remove all, with the images built here")]
pub(crate) struct Arguments {
    /// The apps, such as `lnd`, or companions of one installed app
    #[arg(required_unless_present = "all", value_name = "NAME", add = names::completions())]
    apps: Vec<String>,
    /// Remove all apps
    #[arg(short, long, conflicts_with = "apps")]
    all: bool,
    /// Remove the images that were built for their companions
    #[arg(long)]
    images: bool,
}

/// Records the removal and waits for the result.
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let companions = open(config, output).await?;
    let apps = match arguments.all {
        true => all_apps(&companions).await?,
        false => named_apps(&companions, &arguments.apps, output).await?,
    };
    remove(&companions, &apps, arguments.images, config, output).await
}

/// Removes `apps`, and with `images` the images of their companions.
pub(super) async fn remove(
    companions: &Companions,
    apps: &[AppId],
    images: bool,
    config: &Config,
    output: &Output,
) -> CommandResult<Verdict> {
    let intent = companions.record_apps(&[], apps);
    let (verdict, concerned) = carry_out(companions, intent, config, output).await?;
    if images && verdict == Verdict::Done {
        let catalog = companions.catalog();
        let desired = companions.store().load().await?;
        let needed: Vec<_> = desired.present().map(|(_, it)| &it.spec().image).collect();
        let specs = concerned.removed.iter().filter_map(|name| catalog.companion(name));
        let unneeded = specs.map(|spec| &spec.image).filter(|image| !needed.contains(image));
        let removed = config.host.remove_images(&unneeded.cloned().collect::<Vec<_>>()).await?;
        output.note(format!("removed {removed} image(s) that were built here"));
    }
    Ok(verdict)
}

/// Returns all apps: the installed ones, and those of the catalog whose companions are managed on the host although nobody
/// recorded them, such as after the loss of the desired state.
pub(super) async fn all_apps(companions: &Companions) -> CommandResult<Vec<AppId>> {
    let mut apps = companions.installed().await?;
    let found = companions.status().await?;
    let is_left = |name: &CompanionName| {
        let status = found.iter().find(|status| status.name == *name);
        status.is_some_and(|status| matches!(status.health, Health::Orphaned | Health::Removing))
    };
    let catalog = companions.catalog();
    let left = catalog.apps().filter(|(_, names)| names.iter().any(is_left));
    apps.extend(left.map(|(app, _)| app.clone()));
    Ok(apps.into_iter().collect())
}

/// Returns the apps that `texts` name: apps of the catalog or the record, or companions of one installed app.
async fn named_apps(
    companions: &Companions,
    texts: &[String],
    output: &Output,
) -> CommandResult<Vec<AppId>> {
    let catalog = companions.catalog();
    let recorded = companions.installed().await?;
    let known = |app: &AppId| !catalog.companions_for(app).is_empty() || recorded.contains(app);
    let is_installed = |app: &AppId| recorded.contains(app);
    names::apps(&catalog, texts.iter().map(String::as_str), known, is_installed, output)
}
