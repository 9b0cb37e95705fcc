//! The runtime that commands run on: one thread, and a clock that stands still for the embedded host.

use std::time::Duration;

use crate::config::HostKind;
use crate::error::{CommandError, CommandResult};

/// How many threads may wait for the file system at once. They are started when they are needed and end
/// after a second. One that a hung file system keeps is that of one companion's context or hook, of which
/// each has one at most, so a few are enough for all others.
const BLOCKING_THREADS: usize = 128;

/// Runs `work` to its end.
///
/// On the embedded host time passes only when nothing is left to do, so that a build of 20 s takes
/// none.
pub(crate) fn block_on<T>(
    host: HostKind,
    work: impl Future<Output = CommandResult<T>>,
) -> CommandResult<T> {
    run(host == HostKind::Sim, work)
}

/// Runs `work` to its end in real time, whatever the host.
pub(crate) fn block_on_in_real_time<T>(
    work: impl Future<Output = CommandResult<T>>,
) -> CommandResult<T> {
    run(false, work)
}

fn run<T>(paused: bool, work: impl Future<Output = CommandResult<T>>) -> CommandResult<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(paused)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|error| CommandError::failure(format!("failed to start: {error}")))?;
    let result = runtime.block_on(work);
    // A read of a file system that hangs must not keep the command from ending.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}
