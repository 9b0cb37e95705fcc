//! Points at which a test build ends its own process, as a crash would. Without the feature
//! `crash-points` nothing is compiled in but an empty function.
//!
//! `COMPANION_ABORT_AT=POINT` or `POINT:N` ends the process at the first or the N-th passing of a point, by
//! SIGABRT: no destructor runs, no temporary file is tidied away, and the kernel alone frees the locks.
//! `COMPANION_CRASH_TRACE=FILE` appends a line for each point that is passed.

/// The points of this crate: a temporary file, its way to the disk and to its name, a removal, a lock.
#[cfg(feature = "crash-points")]
pub const POINTS: [&str; 9] = [
    "file.created",
    "file.written",
    "file.synced",
    "file.renamed",
    "file.directory-synced",
    "file.unlinked",
    "file.unlink-synced",
    "directory.unlinked",
    "lock.taken",
];

/// Passes `point` of the work on the file `name` in `directory`: ends the process if it is the one that
/// was asked for. Both may be empty.
///
/// It also ends it when the trace cannot be written: a test build that says nothing proves nothing.
#[cfg(feature = "crash-points")]
pub fn reached(point: &str, directory: &std::path::Path, name: &str) {
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

/// Nothing: this is no test build.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub(crate) const fn reached(_point: &str, _directory: &std::path::Path, _name: &str) {}
