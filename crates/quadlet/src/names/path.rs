//! Which paths mean the same to everyone who reads them.

use super::{check_length, invalid};
use crate::error::Refusal;

/// The kernel's limit for a path, less its terminating NUL.
const LIMIT: usize = 4095;

/// Judges an absolute path: no `.` and `..`, which Podman would resolve against something else than the reader expects.
pub(crate) fn check_path(path: &str) -> Result<(), Refusal> {
    check_length(path, LIMIT)?;
    if !path.starts_with('/') || path.split('/').any(|part| part == "." || part == "..") {
        return Err(invalid(path, "an absolute path without `.` and `..`"));
    }
    Ok(())
}
