//! `companion reconcile`: reconciles all companions now.

use clap::Args;

use super::report;
use crate::config::Config;
use crate::error::CommandResult;
use crate::hosts::{IntentIs, Opening, unless_interrupted};
use crate::output::Output;
use crate::runtime::block_on;

/// Reconcile all companions with the desired state
///
/// Reads the catalog again, retries immediately what is in back-off, and reconciles until everything is
/// as desired or blocked. If everything is as desired, it writes no unit and neither reloads nor
/// restarts anything. While the daemon runs, it does the work, and this command shows its progress and
/// waits.
///
/// Exit status: 0 if all companions are ready, 1 if one is not, 2 for an invalid catalog, 3 if a
/// prerequisite is missing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion reconcile                            repair now what differs
  companion reconcile --take-over                also if the daemon hangs")]
pub(crate) struct Arguments {}

/// Reconciles and prints the result.
pub(crate) fn run(_arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config, async {
        let opening = Opening::new(config, "companion reconcile").showing(output);
        let companions = opening.open(output).await?;
        if let Some(problem) = companions.store().inputs().refresh().problem {
            return Err(problem.into());
        }
        let work = async {
            companions.sync(&[]).await?;
            let generation = companions.renew().await?;
            let converged = companions.converge(generation, None).await?;
            Ok(report::converged(&converged, None, config.host.daemon_scope(), output))
        };
        unless_interrupted(&companions, IntentIs::None, work).await
    })
}
