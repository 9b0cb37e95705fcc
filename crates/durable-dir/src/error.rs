//! What can go wrong, told apart by what the caller can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::status::FileKind;

/// The result of a call of this crate.
pub type DirResult<T> = Result<T, DirError>;

/// An error at a path; never holds a file's contents.
///
/// Control characters in paths are shown escaped.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The directory, or one on the way to it, does not exist.
    #[error("{} does not exist", Shown(.path))]
    NotFound {
        /// What is missing.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not permit it.
    #[error("no permission to {attempted} {}", Shown(.path))]
    Denied {
        /// What was attempted, a verb: `open`, `write`.
        attempted: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A component of the path is something else than a directory.
    #[error("{} is not a directory", Shown(.path))]
    NotADirectory {
        /// That component.
        path: PathBuf,
    },
    /// Someone else could change what lies there: see [`Trust`](crate::Trust).
    #[error("{} is not to be trusted, {why}", Shown(.path))]
    Untrusted {
        /// The directory, link or file.
        path: PathBuf,
        /// Why, for people: `it belongs to user 1001`.
        why: String,
    },
    /// The file system is mounted read-only.
    #[error("cannot {attempted} {}, the file system is read-only", Shown(.path))]
    ReadOnly {
        /// What was attempted.
        attempted: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system, or the user's quota of it, is full.
    #[error("cannot {attempted} {}, the file system or the quota is full", Shown(.path))]
    Full {
        /// What was attempted.
        attempted: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is more than the caller's limit allows.
    #[error("{} has more than {limit} {unit}", Shown(.path))]
    TooLarge {
        /// The file or directory.
        path: PathBuf,
        /// The limit.
        limit: usize,
        /// What is counted: `bytes` or `entries`.
        unit: &'static str,
    },
    /// Something else than a regular file lies at the name; it was left alone.
    #[error("{} is {kind}, not a regular file", Shown(.path))]
    NotARegularFile {
        /// Where.
        path: PathBuf,
        /// What lies there.
        kind: FileKind,
    },
    /// The path or name can never work.
    #[error("{} cannot be used as a name, {why}", Shown(.path))]
    InvalidName {
        /// The path or name.
        path: PathBuf,
        /// Why, for people.
        why: &'static str,
    },
    /// Any other failure: a broken disk, a limit of descriptors, a network file system that is away.
    #[error("cannot {attempted} {}", Shown(.path))]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DirError {
    /// Whether the same call may work later without anyone changing what is asked for: the disk was
    /// full or read-only, a descriptor was missing, a device failed once.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full { .. } | Self::ReadOnly { .. } | Self::Io { .. } => true,
            Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::NotADirectory { .. }
            | Self::Untrusted { .. }
            | Self::TooLarge { .. }
            | Self::NotARegularFile { .. }
            | Self::InvalidName { .. } => false,
        }
    }

    /// The path that the error is about.
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

    /// Sorts what the system said when `attempted` was tried at `path`.
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

    /// Sorts an error of the standard library in the same way.
    pub(crate) fn from_io(attempted: &'static str, path: &Path, cause: io::Error) -> Self {
        match Errno::from_io_error(&cause) {
            Some(errno) => Self::from_system(attempted, path, errno),
            None => Self::Io { attempted, path: path.to_owned(), source: cause },
        }
    }
}

/// A path between backticks, with control characters escaped: a name may come from an attacker.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.to_string_lossy().escape_debug())
    }
}
