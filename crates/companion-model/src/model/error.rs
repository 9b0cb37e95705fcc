//! Port errors as plain data.

/// What the caller of a port can do about an error.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, thiserror::Error,
)]
#[serde(rename_all = "kebab-case")]
pub enum PortErrorKind {
    /// Retry: connection lost, timeout, or resource exhausted.
    #[error("transient")]
    Transient,
    /// The named object does not exist.
    #[error("not found")]
    NotFound,
    /// An unmanaged object is in the way.
    #[error("conflict")]
    Conflict,
    /// Permission denied.
    #[error("denied")]
    Denied,
    /// The input is invalid; a retry cannot succeed.
    #[error("invalid")]
    Invalid,
    /// A required part of the host is missing: a program, the bus, a file system.
    #[error("unavailable")]
    Unavailable,
}

/// A port error as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// What the caller can do about it.
    pub kind: PortErrorKind,
    /// The message with its causes, in one line.
    pub message: String,
}

impl Problem {
    /// Returns a problem of `kind`.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}
