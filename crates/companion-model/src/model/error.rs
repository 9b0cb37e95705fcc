//! Port errors as plain data.

use std::fmt;

/// What the caller of a port can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortErrorKind {
    /// Retry: connection lost, timeout, or resource exhausted.
    Transient,
    /// The named object does not exist.
    NotFound,
    /// An unmanaged object is in the way.
    Conflict,
    /// Permission denied.
    Denied,
    /// The input is invalid; a retry cannot succeed.
    Invalid,
    /// A required part of the host is missing: a program, the bus, a file system.
    Unavailable,
}

impl fmt::Display for PortErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient",
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
        })
    }
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
