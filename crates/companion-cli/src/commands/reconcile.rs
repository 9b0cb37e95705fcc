//! `companion reconcile`: everything that is recorded is looked at and repaired now.

use clap::Args;

use super::report;
use crate::config::Config;
use crate::error::CommandResult;
use crate::hosts::{IntentIs, Opening};
use crate::output::Output;
use crate::runtime::block_on;

/// Reconcile everything that is recorded, and repair what differs
///
/// Reads the catalog again, tries at once what a back-off holds back, and goes on until there is
/// nothing left to do or only what has to be waited for. When everything is as desired, no unit is
/// written and nothing is reloaded or restarted. While the daemon runs, it does the work, and this
/// command shows its progress and waits.
///
/// Exit status: 0 when all companions are ready, 1 when one is not, 2 when the catalog is broken, 3
/// when the host lacks something.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// Reconciles.
pub(crate) fn run(_arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config.host, async {
        let opening = Opening::new(config, "companion reconcile").showing(output);
        let session = opening.open(output).await?;
        let companions = &session.companions;
        if let Some(problem) = companions.store().inputs().refresh().problem {
            return Err(problem.into());
        }
        session
            .unless_interrupted(IntentIs::None, async {
                companions.sync(&[]).await?;
                let generation = companions.renew().await?;
                let converged = companions.converge(generation, None).await?;
                Ok(report::converged(&converged, None, output))
            })
            .await
    })
}
