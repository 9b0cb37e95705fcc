//! `companion wait`: waits until companions are ready.

use std::time::Duration;

use clap::Args;
use companion_core::status::Health;
use tokio::time::{Instant, sleep};

use super::status::find;
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::names;
use crate::output::Output;
use crate::runtime::block_on;

/// How often the status is read.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Wait until companions are ready
///
/// This command changes nothing: the daemon does the work.
///
/// Exit status: 0 if all are ready, 1 after the timeout, 2 for an unknown name, 3 if a prerequisite is
/// missing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion wait lnd                             until its companions are ready
  companion wait --timeout 60 lnd electrs        at most a minute")]
pub(crate) struct Arguments {
    /// The companions, or apps with companions
    #[arg(required = true, value_name = "NAME", add = names::completions())]
    names: Vec<String>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

/// Waits until all are ready or the timeout expires.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config, async {
        let deadline = Instant::now() + Duration::from_secs(arguments.timeout);
        loop {
            let found = find(&arguments.names, config, output).await?;
            let companions = &found.report.companions;
            let unready = companions.iter().filter(|status| status.health != Health::Ready);
            let mut waits: Vec<_> = unready
                .map(|status| {
                    format!("`{}` is {}: {}", status.name, status.health, status.why.join("; "))
                })
                .collect();
            waits.extend(found.absent.iter().map(|name| format!("`{name}` is not installed")));
            if waits.is_empty() {
                return Ok(Verdict::Done);
            }
            if Instant::now() >= deadline {
                let message =
                    format!("not ready within {} s: {}", arguments.timeout, waits.join(", "));
                return Err(CommandError::failure(message));
            }
            sleep(POLL_INTERVAL).await;
        }
    })
}
