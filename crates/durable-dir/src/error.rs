//! Errors, distinguished by what the caller can do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::status::FileKind;

/// The result of a call of this crate.
pub type DirResult<T> = Result<T, DirError>;

/// An error at a path; never contains a file's contents.
///
/// Control characters in paths are escaped.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The system refused an operation; [`system_kind`](Self::system_kind) says why. `NotFound` means that the
    /// directory, or one of its parents, does not exist.
    #[error("cannot {attempted} {}", Shown(.path))]
    System {
        /// The attempted operation, a verb: `open`, `write`.
        attempted: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Other users could modify the object: see [`Trust`](crate::Trust).
    #[error("{} is not trusted: {why}", Shown(.path))]
    Untrusted {
        /// The directory, link or file.
        path: PathBuf,
        /// The reason, for people: `it belongs to user 1001`.
        why: String,
    },
    /// The caller's limit was exceeded.
    #[error("{} has more than {limit} {unit}", Shown(.path))]
    TooLarge {
        /// The file or directory.
        path: PathBuf,
        /// The limit.
        limit: usize,
        /// The counted unit: `bytes` or `entries`.
        unit: &'static str,
    },
    /// The object is not a regular file; it stays unchanged.
    #[error("{} is {kind}, not a regular file", Shown(.path))]
    NotARegularFile {
        /// The path.
        path: PathBuf,
        /// Its kind.
        kind: FileKind,
    },
    /// The path or name is invalid.
    #[error("{} is not a valid name: {why}", Shown(.path))]
    InvalidName {
        /// The path or name.
        path: PathBuf,
        /// The reason, for people.
        why: &'static str,
    },
}

impl DirError {
    /// Returns the error of the system for `attempted`, a verb, at `path`.
    pub fn system(
        attempted: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::System { attempted, path: path.into(), source: source.into() }
    }

    /// Returns why the system refused an operation; `None` for the other errors.
    pub fn system_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::System { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}

/// Returns `None` if something on the path of `result` does not exist.
pub(crate) fn if_found<T>(result: DirResult<T>) -> DirResult<Option<T>> {
    match result {
        Err(error) if error.system_kind() == Some(io::ErrorKind::NotFound) => Ok(None),
        other => other.map(Some),
    }
}

/// Shows a path between backticks with control characters escaped, because names may come from an attacker.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.to_string_lossy().escape_debug())
    }
}
