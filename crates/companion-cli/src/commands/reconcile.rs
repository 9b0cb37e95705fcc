//! `companion reconcile`: reconciles all companions now.

use clap::Args;

use super::report;
use crate::config::Config;
use crate::error::{CommandError, CommandResult};
use crate::hosts::{open, unless_interrupted, valid_catalog};
use crate::output::Output;

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
pub(crate) async fn run(config: &Config, output: &Output) -> CommandResult {
    let companions = open(config, output).await?;
    valid_catalog(companions.store())?;
    let work = async {
        companions.sync(&[]).await?;
        let generation = companions.renew().await?;
        companions.converge(generation, None).await
    };
    let interrupted = CommandError::failure("interrupted");
    let converged = unless_interrupted(&companions, interrupted, work).await?;
    Ok(report::converged(&converged, None, config.host.daemon_scope(), output))
}
