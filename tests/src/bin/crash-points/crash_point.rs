//! Crash points, at which this process aborts itself.
//!
//! `COMPANION_ABORT_AT=POINT` or `POINT:N` aborts the process at the first or the N-th time a point is reached: no
//! destructor runs, no temporary file is removed, and the kernel alone releases the locks. `COMPANION_CRASH_TRACE=FILE`
//! appends a line for each point reached.

use std::path::Path;

/// The points of `durable-dir`: a temporary file, its sync and its rename, a removal, a lock.
pub(crate) const POINTS: &str = "file.created file.written file.synced file.renamed file.directory-synced file.unlinked \
     file.unlink-synced directory.unlinked lock.taken";

/// Records that `point` was reached while working on the file `name` in `directory`; aborts if it is the requested
/// point. Both may be empty.
///
/// Also aborts if the trace cannot be written, because a test run without a trace proves nothing.
pub(crate) fn reached(point: &str, directory: &Path, name: &str) {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static PASSED: AtomicUsize = AtomicUsize::new(0);
    if let Some(file) = std::env::var_os("COMPANION_CRASH_TRACE") {
        let line = format!("{point} {}\n", directory.join(name).display());
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
        if opened.and_then(|mut file| file.write_all(line.as_bytes())).is_err() {
            std::process::abort();
        }
    }
    let Ok(chosen) = std::env::var("COMPANION_ABORT_AT") else { return };
    let (name, nth) = chosen.split_once(':').unwrap_or((&chosen, "1"));
    if name != point {
        return;
    }
    let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if nth.parse() == Ok(passed) {
        std::process::abort();
    }
}
