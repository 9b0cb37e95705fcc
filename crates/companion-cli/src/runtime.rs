//! The runtime of the commands: one thread, and a paused clock for the simulated host.

use std::time::Duration;

use crate::error::{CommandError, CommandResult};

/// The maximum number of threads for blocking file system calls. They start on demand and end after a second
/// of idling. They are more than `RUNNING_LIMIT` of `host-files`, so that accepted work always gets a
/// thread. A hung file system blocks at most one per context, hook and port that watches files.
const BLOCKING_THREADS: usize = 320;

/// Runs `work` to completion.
///
/// In virtual time, for the simulated host, time advances only when all tasks are idle, so a build of 20 s takes no
/// real time.
pub(crate) fn block_on(
    in_virtual_time: bool,
    work: impl Future<Output = CommandResult>,
) -> CommandResult {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    #[cfg(feature = "demo")]
    runtime.start_paused(in_virtual_time);
    #[cfg(not(feature = "demo"))]
    let _ = in_virtual_time;
    let runtime = runtime
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|error| CommandError::failure(format!("failed to start the runtime: {error}")))?;
    let result = runtime.block_on(work);
    // A read from a hung file system must not delay the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}
