//! `companion status --watch`: prints the status again whenever it changes.

use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::{Arguments, Found, find, print};
use crate::config::Config;
use crate::error::{CommandResult, Verdict};
use crate::output::{Output, words};

/// How often the status is read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Prints the status after each change, until a signal ends the process or nobody reads the output.
pub(super) async fn run(
    arguments: &Arguments,
    config: &Config,
    output: &Output,
) -> CommandResult<Verdict> {
    let mut last: Option<Found> = None;
    while !output.is_closed() {
        let found = find(&arguments.names, config, output).await?;
        if last.as_ref().is_none_or(|last| differs(last, &found)) {
            if last.is_some() && !output.is_json() {
                output.line(format!("\n{}", words::timestamp(SystemTime::now())));
            }
            print::found(&found, arguments.output, config, output).await?;
            last = Some(found);
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(Verdict::Done)
}

fn differs(one: &Found, other: &Found) -> bool {
    (&one.report, &one.answer, &one.absent, &one.facts, &one.notes)
        != (&other.report, &other.answer, &other.absent, &other.facts, &other.notes)
}
