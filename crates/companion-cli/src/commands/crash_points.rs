//! `companion crash-points`, in test builds alone: the points that `COMPANION_ABORT_AT` can name.

use crate::crash_points;
use crate::error::{CommandResult, Verdict};
use crate::output::Output;

/// Prints them, one to a line.
pub(crate) fn run(output: &Output) -> CommandResult {
    crash_points::points().for_each(|point| output.line(point));
    Ok(Verdict::Done)
}
