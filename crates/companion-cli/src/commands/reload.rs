//! `companion reload`: the leader reads its inputs again.

use archipelago::Reloaded;
use clap::Args;

use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::{IntentIs, Opening};
use crate::output::Output;
use crate::runtime::block_on_in_real_time;

/// Have the daemon read its catalog again, and wait until it has
///
/// The daemon reads a changed catalog by itself within moments; this command says whether it could.
/// `systemctl --user reload companion` runs it. A catalog that cannot be used leaves the last good one
/// in force.
///
/// Exit status: 0 when the catalog is in force, 1 when no daemon runs or it does not answer, 2 for a
/// broken catalog, which is shown with its line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// Reloads.
pub(crate) fn run(_arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on_in_real_time(async {
        let session = Opening::new(config, "companion reload").open(output).await?;
        let reload = async { Ok(session.companions.reload().await?) };
        match session.unless_interrupted(IntentIs::None, reload).await? {
            Reloaded::Nobody => {
                Err(CommandError::failure("nobody reads the catalog: no daemon runs")
                    .hinted("`companion setup` starts it"))
            }
            Reloaded::Refused(problem) => Err(problem.into()),
            Reloaded::InForce => {
                output.note("the catalog is in force");
                Ok(Verdict::Done)
            }
        }
    })
}
