//! Validates names and paths. Pure.

use std::path::{Component, Path};

use crate::error::{DirError, DirResult};

/// Maximum size of a name in bytes: a temporary file's name stays below 255, the limit of Linux file systems.
pub(crate) const MAX_NAME: usize = 240;

/// Rejects text that is not the name of a directory entry.
pub(crate) fn checked(name: &str) -> DirResult<&str> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name == "." || name == ".." {
        "it names a directory"
    } else if name.contains('/') {
        "it contains a `/`"
    } else if name.contains('\0') {
        "it contains a NUL"
    } else if name.len() > MAX_NAME {
        "it is longer than 240 bytes"
    } else {
        return Ok(name);
    };
    Err(DirError::InvalidName { path: name.into(), why })
}

/// Rejects a path that is relative or contains `..`: both depend on the working directory.
pub(crate) fn checked_path(path: &Path) -> DirResult<()> {
    let why = if !path.is_absolute() {
        "it is not an absolute path"
    } else if path.components().any(|part| part == Component::ParentDir) {
        "it contains `..`"
    } else if path.as_os_str().as_encoded_bytes().contains(&0) {
        "it contains a NUL"
    } else {
        return Ok(());
    };
    Err(DirError::InvalidName { path: path.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        let long = "x".repeat(MAX_NAME);
        for name in ["a", ".hidden", "...", "a..b", "nginx.conf", "ü", long.as_str()] {
            assert!(checked(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn relative_and_climbing_paths_are_refused() {
        for path in ["", "a", "./a", "../a", "/a/../b"] {
            assert!(checked_path(Path::new(path)).is_err(), "{path:?}");
        }
        assert!(checked_path(Path::new("/a/./b")).is_ok());
    }
}
