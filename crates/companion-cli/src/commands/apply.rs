//! `companion apply`: makes the desired state that of a file.

use std::path::PathBuf;

use archipelago_companions::{AppId, Catalog};
use clap::Args;

use super::report::carry_out;
use crate::config::Config;
use crate::desired_file::DesiredFile;
use crate::error::{CommandResult, Verdict};
use crate::hosts::Opening;
use crate::names;
use crate::output::Output;
use crate::runtime::block_on;

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
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let file = DesiredFile::read(&arguments.file)?;
    block_on(config, async {
        let opening = Opening::new(config, "companion apply").showing(output);
        let store = opening.store().await?;
        let inputs = store.inputs().refresh();
        if let Some(problem) = inputs.problem {
            return Err(problem.into());
        }
        let catalog = inputs.catalog.unwrap_or_else(|| Catalog::builtin().into());
        let installed = store.installed().await?;
        let known =
            |app: &AppId| !catalog.companions_for(app).is_empty() || installed.contains(app);
        for app in &file.apps {
            names::app(&catalog, app.as_str(), known, |_| false)?;
        }
        let others: Vec<_> = installed.difference(&file.apps).cloned().collect();
        let removed = if arguments.prune { others.clone() } else { Vec::new() };
        if arguments.dry_run {
            let missing = file.apps.difference(&installed);
            missing.for_each(|app| output.line(format!("install {app}")));
            removed.iter().for_each(|app| output.line(format!("remove {app}")));
        }
        if !arguments.prune && !others.is_empty() {
            let others: Vec<_> = others.iter().map(AppId::as_str).collect();
            output
                .note(format!("not in the file, and kept without --prune: {}", others.join(", ")));
        }
        if arguments.dry_run {
            return Ok(Verdict::Done);
        }
        let companions = opening.open(output).await?;
        let missing: Vec<_> = file.apps.difference(&installed).cloned().collect();
        let intent = async {
            let (generation, mut concerned) = companions.record_apps(&missing, &removed).await?;
            let named = file.apps.iter().flat_map(|app| catalog.companions_for(app));
            concerned.present.extend(named);
            Ok((generation, concerned))
        };
        Ok(carry_out(&companions, intent, config, output).await?.0)
    })
}
