//! `companion uninstall`: removes all companions, the daemon, the images built here, and the state directory.
//!
//! Each step can be repeated, and what a later step needs is removed last. So a killed command is run again.

use clap::Args;
use companion_core::model::image::ImageSource;

use super::{remove, setup};
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::{leader_of, open};
use crate::output::Output;

/// Remove all companions, the daemon, the images built here, and the state directory
///
/// Removes all companions as `companion remove --all`, stops the daemon and deletes its unit as `companion
/// setup --remove`, removes the images that were built here, and deletes the state directory. If a step
/// fails, the later ones are not made; run it again. These remain: the catalog file, pulled images and base
/// images, and the program itself.
///
/// Exit status: 0 if all is removed, 1 if something remains, 2 without --yes or with --json, 3 if a
/// prerequisite is missing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion export > node.toml                   keep the desired state
  companion uninstall --yes                      remove everything")]
pub(crate) struct Arguments {
    /// Confirm the removal
    #[arg(short, long)]
    yes: bool,
}

/// Removes everything.
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    if output.is_json() {
        return Err(CommandError::input("`uninstall` has no JSON output"));
    }
    if !arguments.yes {
        let state = config.state_dir()?;
        let message = format!(
            "this removes all companions, the daemon, the images built here, and {}",
            state.display()
        );
        return Err(CommandError::input(message).hinted("nothing was changed; confirm with --yes"));
    }
    let companions = open(config, output).await?;
    let apps = remove::all_apps(&companions).await?;
    let removed = remove::remove(&companions, &apps, false, config, output).await?;
    if removed != Verdict::Done {
        return Ok(removed);
    }
    let removed = setup::remove_daemon(config, output).await?;
    if removed != Verdict::Done {
        return Ok(removed);
    }
    // Companions whose app neither the record nor the catalog knows.
    let left = companions.status().await?;
    if !left.is_empty() {
        let left: Vec<_> = left.iter().map(|status| status.name.as_str()).collect();
        return Err(CommandError::failure(format!("{} remain on the host", left.join(", ")))
            .hinted("add their apps to the catalog, then run this again"));
    }
    companions.stop_leading().await;
    // Another process, such as a program that embeds companions, still uses the state.
    if let Some(other) = leader_of(config).await?
        && other.pid != std::process::id()
    {
        return Err(CommandError::failure(format!("{other} leads"))
            .hinted("all companions are removed; stop that process, then run this again"));
    }
    let catalog = companions.catalog();
    let sources: Vec<ImageSource> = catalog.companions().map(|it| it.image.clone()).collect();
    let images = config.host.remove_images(&sources).await?;
    output.line(format!("removed {images} image(s) that were built here"));
    let store = companions.store();
    let left = store.delete().await?;
    output.line(format!("deleted the state in {}", store.dir().display()));
    for path in &left {
        output.note(format!("left alone, because companion did not create it: {}", path.display()));
    }
    if let Some(file) = config.host.default_catalog().filter(|file| file.exists()) {
        output.note(format!("the catalog remains: {}", file.display()));
    }
    Ok(Verdict::Done)
}
