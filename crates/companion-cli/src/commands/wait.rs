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
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let deadline = Instant::now() + Duration::from_secs(arguments.timeout);
    loop {
        let found = find(&arguments.names, config, output).await?;
        let companions = found.report.companions.iter();
        let unready = companions.filter(|status| status.health != Health::Ready).map(|status| {
            format!("`{}` is {}: {}", status.name, status.health, status.why.join("; "))
        });
        let absent = found.absent.iter().map(|name| format!("`{name}` is not installed"));
        let waits: Vec<_> = unready.chain(absent).collect();
        if waits.is_empty() {
            return Ok(Verdict::Done);
        }
        if Instant::now() >= deadline {
            let waits = waits.join(", ");
            let message = format!("not ready within {} s: {waits}", arguments.timeout);
            return Err(CommandError::failure(message));
        }
        sleep(POLL_INTERVAL).await;
    }
}
