//! Which paths have the same meaning for every parser.

use super::{check_length, invalid};
use crate::error::Refusal;

/// The kernel's limit for a path, minus its terminating NUL.
const LIMIT: usize = 4095;

/// Validates an absolute path: without `.` and `..`, which Podman would resolve unexpectedly.
pub(crate) fn check_path(path: &str) -> Result<(), Refusal> {
    check_length(path, LIMIT)?;
    if !path.starts_with('/') || path.split('/').any(|part| part == "." || part == "..") {
        return Err(invalid(path, "an absolute path without `.` and `..`"));
    }
    Ok(())
}
