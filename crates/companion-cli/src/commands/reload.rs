//! `companion reload`: makes the leader read its inputs again.

use archipelago_companions::Reloaded;
use clap::Args;

use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::{open, unless_interrupted};
use crate::output::Output;

/// Make the daemon read its catalog again, and wait for the result
///
/// The daemon reads a changed catalog within moments; this command reports whether it is valid.
/// `systemctl --user reload companion` runs it. With an invalid catalog, the daemon continues to use the
/// last valid one.
///
/// Exit status: 0 if the daemon uses the catalog, 1 if no daemon runs or it does not respond, 2 for an
/// invalid catalog, which is shown with its line.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion reload                               apply a changed catalog.toml now")]
pub(crate) struct Arguments {}

/// Requests the reload and waits for it.
pub(crate) async fn run(config: &Config, output: &Output) -> CommandResult {
    let companions = open(config, output).await?;
    let interrupted = CommandError::failure("interrupted");
    match unless_interrupted(&companions, interrupted, companions.reload()).await? {
        Reloaded::Nobody => {
            Err(CommandError::failure("no daemon runs, so there is nothing to reload")
                .hinted("`companion setup` starts it"))
        }
        Reloaded::Refused(problem) => Err(problem.into()),
        Reloaded::InForce => {
            output.note("catalog reloaded");
            Ok(Verdict::Done)
        }
    }
}
