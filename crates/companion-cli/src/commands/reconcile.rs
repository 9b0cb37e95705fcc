//! `companion reconcile`: one pass over all that is recorded.

use std::sync::Arc;

use clap::Args;

use super::report;
use crate::config::Config;
use crate::error::CommandResult;
use crate::hosts::{Session, WishIs};
use crate::output::Output;
use crate::runtime::block_on;

/// Make one pass over all that is recorded, and repair what is not true
///
/// A pass is a few rounds of looking, deciding and doing, until there is nothing left to do or only
/// what has to be waited for. When all is true already nothing is written, reloaded or restarted.
///
/// Exit status: 0 when all companions are ready, 1 when one is not, 3 when the host lacks something.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// Reconciles.
pub(crate) fn run(_arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config.host, async {
        let session = Session::open(config, output, Arc::new(output.progress())).await?;
        session
            .unless_interrupted(WishIs::None, async {
                session.sweep(config).await;
                session.companions.adopt(&[]).await?;
                let pass = session.companions.reconciler().reconcile().await?;
                Ok(report::pass(&pass, None, output))
            })
            .await
    })
}
