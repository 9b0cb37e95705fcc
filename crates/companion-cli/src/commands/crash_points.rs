//! `companion crash-points`, only in test builds: the crash points that `COMPANION_ABORT_AT` accepts.

use crate::crash_points;
use crate::error::{CommandResult, Verdict};
use crate::output::Output;

/// Prints the crash points, one per line.
pub(crate) fn run(output: &Output) -> CommandResult {
    crash_points::points().for_each(|point| output.line(point));
    Ok(Verdict::Done)
}
