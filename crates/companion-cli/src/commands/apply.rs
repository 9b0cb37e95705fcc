//! `companion apply`: makes the desired state that of a file.

use std::path::PathBuf;

use archipelago_companions::AppId;
use clap::Args;

use super::report::carry_out;
use crate::config::Config;
use crate::desired_file::DesiredFile;
use crate::error::{CommandResult, Verdict};
use crate::hosts::{open, store, valid_catalog};
use crate::names;
use crate::output::Output;

/// Install the apps of a file, and with --prune remove all others
///
/// Reads a file of `companion export`, records what differs in one step, and starts the companions. Without
/// --prune, apps that the file does not name stay. An empty or missing file, and one without apps, is an
/// error and removes nothing.
///
/// With --json: as for install.
///
/// Exit status: 0 if all companions are as desired, 1 if one is not, 2 for an invalid file or an unknown
/// app, 3 if a prerequisite is missing. Nothing is recorded in the last two cases.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion apply --dry-run -f node.toml         what would change
  companion apply -f node.toml                   install what is missing
  companion apply --prune -f node.toml           also remove what the file does not name")]
pub(crate) struct Arguments {
    /// The file; `-` for stdin
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Remove the apps that the file does not name
    #[arg(long)]
    prune: bool,
    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Records the intents and waits for the result.
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let file = DesiredFile::read(&arguments.file)?;
    let store = store(config).await?;
    let catalog = valid_catalog(&store)?;
    let installed = store.installed().await?;
    let known = |app: &AppId| !catalog.companions_for(app).is_empty() || installed.contains(app);
    let texts = file.apps.iter().map(AppId::as_str);
    let wanted = names::apps(&catalog, texts, known, |_| false, output)?;
    let others: Vec<_> = installed.iter().filter(|app| !wanted.contains(app)).cloned().collect();
    let removed = if arguments.prune { &others[..] } else { &[] };
    if !arguments.prune && !others.is_empty() {
        let others: Vec<_> = others.iter().map(AppId::as_str).collect();
        output.note(format!("not in the file, and kept without --prune: {}", others.join(", ")));
    }
    let missing: Vec<_> = wanted.iter().filter(|app| !installed.contains(app)).cloned().collect();
    if arguments.dry_run {
        missing.iter().for_each(|app| output.line(format!("install {app}")));
        removed.iter().for_each(|app| output.line(format!("remove {app}")));
        return Ok(Verdict::Done);
    }
    let companions = open(config, output).await?;
    let intent = async {
        let (generation, mut concerned) = companions.record_apps(&missing, removed).await?;
        concerned.present.extend(wanted.iter().flat_map(|app| catalog.companions_for(app)));
        Ok((generation, concerned))
    };
    Ok(carry_out(&companions, intent, config, output).await?.0)
}
