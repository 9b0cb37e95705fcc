//! The errors of podman calls and their port error kinds.
//!
//! Podman's exit status says little (125 covers all of podman's own errors), so the last lines of stderr determine the
//! cause. An unknown message never counts as absence.

use std::error::Error;
use std::fmt;

use companion_core::ports::{PortError, PortErrorKind};
use image_source::EngineError;
use image_source::text::shown;

use crate::command::argv::{Call, Kind};

/// Returns the error of what may succeed the next time.
pub(crate) fn transient(message: impl Into<String>) -> PortError {
    PortError::new(PortErrorKind::Transient, message)
}

/// Returns an error that any other call would have too.
pub(crate) fn of_the_host(
    kind: PortErrorKind,
    message: String,
    source: impl Error + Send + Sync + 'static,
) -> EngineError {
    EngineError::Host(PortError::new(kind, message).with_source(source))
}

/// Returns the error of an answer of `call` that cannot be parsed.
pub(crate) fn unreadable(call: impl fmt::Display, why: impl fmt::Display) -> EngineError {
    let why = shown(&why.to_string());
    let message = format!("cannot parse the output of `{call}`: {why}");
    PortError::new(PortErrorKind::Unavailable, message).into()
}

/// The cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No space is left where podman writes.
    DiskFull,
    /// A user namespace with enough IDs cannot be created (subuid, subgid, newuidmap).
    UserNamespace,
    /// The image store is inconsistent.
    StorageDamaged,
    /// The registry denied access.
    Denied,
    /// The registry has no such image.
    NotFound,
    /// The registry is unreachable or failing.
    Network,
    /// Anything else.
    Other,
}

/// Phrases in podman's stderr, in order of precedence. "image not known" is not a sign of damage: another program may
/// have removed the image.
const PHRASES: [(Cause, &[&str]); 6] = [
    (Cause::DiskFull, &["no space left on device", "disk quota exceeded"]),
    (
        Cause::UserNamespace,
        &[
            "newuidmap",
            "newgidmap",
            "not enough IDs available in the namespace",
            "insufficient UIDs or GIDs",
            "no subuid ranges found",
            "no subgid ranges found",
            "cannot set up namespace",
            "cannot re-exec process",
        ],
    ),
    (
        Cause::StorageDamaged,
        &[
            "layer not known",
            "not found in layer tree",
            "unmarshalling layers",
            "/overlay/l/",
            // An empty `link` or `lower` file of a layer.
            "/overlay/l: invalid argument",
            "/overlay: invalid argument",
            "exists in local storage but may be corrupted",
            "locating item named \"manifest\"",
        ],
    ),
    (
        Cause::Denied,
        &[
            "unauthorized",
            "authentication required",
            "access to the resource is denied",
            "invalid username/password",
            "status: 401",
            "status: 403",
            "denied by policy",
        ],
    ),
    (
        Cause::NotFound,
        &["manifest unknown", "name unknown", "repository name not known", "status: 404"],
    ),
    (
        Cause::Network,
        &[
            "dial tcp",
            "i/o timeout",
            "connection refused",
            "connection reset",
            "broken pipe",
            "network is unreachable",
            "no route to host",
            "no such host",
            "name resolution",
            "tls:",
            "TLS handshake",
            "x509:",
            "server gave HTTP response to HTTPS client",
            "toomanyrequests",
            "too many requests",
            "unexpected EOF",
            ": EOF",
            "context deadline exceeded",
            "status: 429",
            "status: 5",
        ],
    ),
];

impl Cause {
    /// Determines the cause from the end of podman's stderr.
    pub(crate) fn of(said: &str) -> Self {
        PHRASES
            .iter()
            .find(|(_, phrases)| phrases.iter().any(|phrase| said.contains(phrase)))
            .map(|(cause, _)| *cause)
            .or_else(|| misses_layer_file(said).then_some(Self::StorageDamaged))
            .unwrap_or(Self::Other)
    }

    /// Returns the error of a call that ended like this, with podman's words and, if known, how to fix the host.
    pub(crate) fn error(self, call: &Call, ending: &str, said: &str) -> EngineError {
        let (kind, hint) = match self {
            Self::DiskFull => (PortErrorKind::Transient, " (the disk is full)"),
            Self::UserNamespace => (
                PortErrorKind::Unavailable,
                " (give the user a range in /etc/subuid and /etc/subgid, install `uidmap`, \
                 then run `podman system migrate`)",
            ),
            Self::StorageDamaged => (
                PortErrorKind::Unavailable,
                " (the image store is damaged; see `podman system check`, then \
                 `podman system check --repair`)",
            ),
            Self::Denied => (PortErrorKind::Denied, ""),
            Self::Network => (PortErrorKind::Transient, ""),
            // A missing base image is an error in the Dockerfile.
            Self::NotFound | Self::Other if call.kind == Kind::Build => {
                (PortErrorKind::Invalid, "")
            }
            Self::NotFound => (PortErrorKind::NotFound, ""),
            Self::Other => (PortErrorKind::Transient, ""),
        };
        let said = Said(said);
        let error = PortError::new(kind, format!("`{call}` failed with {ending}{said}{hint}"));
        match self {
            Self::DiskFull | Self::UserNamespace => EngineError::Host(error),
            Self::StorageDamaged => EngineError::Damaged(error),
            Self::Denied | Self::NotFound | Self::Network | Self::Other => error.into(),
        }
    }
}

/// Returns whether podman misses a file of a layer, as in `faccessat <graph root>/overlay/<id>: no such file or directory`.
fn misses_layer_file(said: &str) -> bool {
    let calls = ["readlink ", "faccessat ", "stat ", "open ", "openat "];
    said.lines().any(|line| {
        line.contains("/overlay/")
            && line.contains(": no such file or directory")
            && calls.iter().any(|call| line.contains(call))
    })
}

/// `: ` and the end of stderr, or nothing.
pub(crate) struct Said<'a>(pub(crate) &'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.0)
    }
}

#[cfg(test)]
mod tests;
