//! Errors, distinguished by what the caller can do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::status::FileKind;

/// The result of a call of this crate.
pub type DirResult<T> = Result<T, DirError>;

/// An error at a path; never contains a file's contents.
///
/// Control characters in paths are escaped.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The directory, or one of its parents, does not exist.
    #[error("{} does not exist", Shown(.path))]
    NotFound {
        /// The missing path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system denied permission.
    #[error("no permission to {attempted} {}", Shown(.path))]
    Denied {
        /// The attempted operation, a verb: `open`, `write`.
        attempted: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A component of the path is not a directory.
    #[error("{} is not a directory", Shown(.path))]
    NotADirectory {
        /// The component.
        path: PathBuf,
    },
    /// Other users could modify the object: see [`Trust`](crate::Trust).
    #[error("{} is not trusted: {why}", Shown(.path))]
    Untrusted {
        /// The directory, link or file.
        path: PathBuf,
        /// The reason, for people: `it belongs to user 1001`.
        why: String,
    },
    /// The file system is mounted read-only.
    #[error("cannot {attempted} {}: the file system is read-only", Shown(.path))]
    ReadOnly {
        /// The attempted operation.
        attempted: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file system or the user's quota is full.
    #[error("cannot {attempted} {}: the file system or the quota is full", Shown(.path))]
    Full {
        /// The attempted operation.
        attempted: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
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
    /// Any other failure: a broken disk, too many open descriptors, an unreachable network file system.
    #[error("cannot {attempted} {}", Shown(.path))]
    Io {
        /// The attempted operation.
        attempted: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl DirError {
    /// Returns the path of the error.
    pub fn path(&self) -> &Path {
        match self {
            Self::NotFound { path, .. }
            | Self::Denied { path, .. }
            | Self::NotADirectory { path }
            | Self::Untrusted { path, .. }
            | Self::ReadOnly { path, .. }
            | Self::Full { path, .. }
            | Self::TooLarge { path, .. }
            | Self::NotARegularFile { path, .. }
            | Self::InvalidName { path, .. }
            | Self::Io { path, .. } => path,
        }
    }

    /// Classifies the system's error for `attempted` at `path`.
    pub(crate) fn from_system(attempted: &'static str, path: &Path, cause: Errno) -> Self {
        let (path, source) = (path.to_owned(), io::Error::from(cause));
        match cause {
            Errno::NOENT => Self::NotFound { path, source },
            Errno::ACCESS | Errno::PERM => Self::Denied { attempted, path, source },
            Errno::NOTDIR => Self::NotADirectory { path },
            Errno::ROFS => Self::ReadOnly { attempted, path, source },
            Errno::NOSPC | Errno::DQUOT => Self::Full { attempted, path, source },
            Errno::NAMETOOLONG => Self::InvalidName { path, why: "it is too long" },
            _ => Self::Io { attempted, path, source },
        }
    }

    /// Classifies an error of the standard library in the same way.
    pub(crate) fn from_io(attempted: &'static str, path: &Path, cause: io::Error) -> Self {
        match Errno::from_io_error(&cause) {
            Some(errno) => Self::from_system(attempted, path, errno),
            None => Self::Io { attempted, path: path.to_owned(), source: cause },
        }
    }
}

/// Shows a path between backticks with control characters escaped, because names may come from an attacker.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.to_string_lossy().escape_debug())
    }
}
