//! `companion reload`: makes the leader read its inputs again.

use archipelago_companions::Reloaded;
use clap::Args;

use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::{IntentIs, Opening, unless_interrupted};
use crate::output::Output;
use crate::runtime::block_on_in_real_time;

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
pub(crate) fn run(_arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on_in_real_time(async {
        let companions = Opening::new(config, "companion reload").open(output).await?;
        let reload = async { Ok(companions.reload().await?) };
        match unless_interrupted(&companions, IntentIs::None, reload).await? {
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
    })
}
