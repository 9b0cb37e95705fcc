//! What can go wrong with a call of podman, and what that means to the caller of a port.
//!
//! Podman's exit status says little (125 is everything that is podman's own), so the cause is read
//! from the last lines of its stderr. A text that is not known is never taken for absence.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use companion_core::ports::{PortError, PortErrorKind};

use crate::command::output::path_shown;

/// A call of podman that did not give what it was made for.
#[derive(Debug, thiserror::Error)]
pub enum PodmanError {
    /// There is no such program in `PATH`, or not at the given place.
    #[error("no `podman` in `{search}`; install the package `podman`")]
    Missing {
        /// Where it was looked for.
        search: String,
    },
    /// The program is there and could not be started.
    #[error("`{}` could not be started", path_shown(.program))]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It did not end in time, and was ended.
    #[error("`{call}` did not end within {} s{}", .limit.as_secs(), Said(.said))]
    TimedOut {
        /// Which call.
        call: Verb,
        /// The limit that passed.
        limit: Duration,
        /// Its last words.
        said: String,
    },
    /// It ended with an error.
    #[error("`{call}` ended with {ending}{}{}", Said(.said), Hint(*.cause))]
    Failed {
        /// Which call.
        call: Verb,
        /// `exit status 125`, `signal 9`.
        ending: String,
        /// The exit status; `None` when a signal ended it.
        status: Option<i32>,
        /// What lies behind it, as far as its words tell.
        cause: Cause,
        /// Its last words, escaped.
        said: String,
    },
    /// Files that it needs took too long to read, or an earlier read of them has not ended yet.
    #[error("the file system does not answer: {place}")]
    NoAnswer {
        /// What was read.
        place: String,
    },
    /// It printed more than is ever needed.
    #[error("`{call}` printed more than {limit} bytes")]
    TooMuch {
        /// Which call.
        call: Verb,
        /// The limit in bytes.
        limit: usize,
    },
    /// It printed what is not understood.
    #[error("the answer of `{call}` is not understood")]
    Unreadable {
        /// Which call.
        call: Verb,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// It was ended because the program that waits for it is being shut down.
    #[error("`{call}` was interrupted")]
    Interrupted {
        /// Which call.
        call: Verb,
    },
    /// The process could not be waited for.
    #[error("`{call}` could not be waited for")]
    Wait {
        /// Which call.
        call: Verb,
        /// The system's answer.
        source: io::Error,
    },
    /// A value that no argument of a program can carry, or that would be read as another option.
    #[error("build argument `{name}` {rule}")]
    Argument {
        /// The argument's name, escaped; its value is never shown.
        name: String,
        /// What it breaks.
        rule: &'static str,
    },
}

/// The calls of podman that this crate makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `podman --version`.
    Version,
    /// `podman info`.
    Info,
    /// `podman images`.
    Images,
    /// `podman image inspect`.
    ImageInspect,
    /// `podman build`.
    Build,
    /// `podman pull`.
    Pull,
    /// `podman image rm`.
    ImageRm,
    /// `podman ps`.
    Ps,
    /// `podman rm`.
    Rm,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "podman --version",
            Self::Info => "podman info",
            Self::Images => "podman images",
            Self::ImageInspect => "podman image inspect",
            Self::Build => "podman build",
            Self::Pull => "podman pull",
            Self::ImageRm => "podman image rm",
            Self::Ps => "podman ps",
            Self::Rm => "podman rm",
        })
    }
}

/// What lies behind a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No space is left where podman writes.
    DiskFull,
    /// A user namespace with enough ids cannot be made (subuid, subgid, newuidmap).
    UserNamespace,
    /// The image store contradicts itself.
    StorageDamaged,
    /// The registry knows us not, or does not let us.
    Denied,
    /// The registry has no such image.
    NotFound,
    /// The registry could not be reached, or was not able to answer.
    Network,
    /// Anything else.
    Other,
}

/// Phrases in podman's stderr, in the order in which they decide. "image not known" is not among the
/// signs of damage: it is also what a removal by somebody else looks like.
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
        &["layer not known", "not found in layer tree", "unmarshalling layers", "/overlay/l/"],
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
    /// Reads the cause from podman's last words.
    pub fn of(said: &str) -> Self {
        PHRASES
            .iter()
            .find(|(_, phrases)| phrases.iter().any(|phrase| said.contains(phrase)))
            .map_or(Self::Other, |(cause, _)| *cause)
    }
}

impl PodmanError {
    /// What the caller of a port can do about it.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Missing { .. } | Self::Start { .. } | Self::Unreadable { .. } => {
                PortErrorKind::Unavailable
            }
            Self::TimedOut { .. }
            | Self::NoAnswer { .. }
            | Self::TooMuch { .. }
            | Self::Interrupted { .. }
            | Self::Wait { .. } => PortErrorKind::Transient,
            Self::Argument { .. } => PortErrorKind::Invalid,
            Self::Failed { call, cause, .. } => match (cause, call) {
                (Cause::DiskFull | Cause::Network, _) => PortErrorKind::Transient,
                (Cause::UserNamespace | Cause::StorageDamaged, _) => PortErrorKind::Unavailable,
                (Cause::Denied, _) => PortErrorKind::Denied,
                // A base image that does not exist is the Dockerfile's fault.
                (Cause::NotFound | Cause::Other, Verb::Build) => PortErrorKind::Invalid,
                (Cause::NotFound, _) => PortErrorKind::NotFound,
                (Cause::Other, _) => PortErrorKind::Transient,
            },
        }
    }

    /// Whether another way to the same image would fail for the same reason.
    pub(crate) fn is_of_the_host(&self) -> bool {
        match self {
            Self::Failed { cause, .. } => {
                matches!(cause, Cause::DiskFull | Cause::UserNamespace | Cause::StorageDamaged)
            }
            Self::Missing { .. }
            | Self::Start { .. }
            | Self::NoAnswer { .. }
            | Self::Interrupted { .. } => true,
            Self::TimedOut { .. }
            | Self::TooMuch { .. }
            | Self::Unreadable { .. }
            | Self::Wait { .. }
            | Self::Argument { .. } => false,
        }
    }
}

/// A port's error over `cause`.
pub(crate) fn port_error(
    kind: PortErrorKind,
    message: impl Into<String>,
    cause: impl Into<Box<dyn Error + Send + Sync>>,
) -> PortError {
    PortError::new(kind, message).with_source(cause)
}

/// `: what it said`, or nothing.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.0)
    }
}

/// What mends the host, where that is known.
struct Hint(Cause);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Cause::DiskFull => " (the disk is full)",
            Cause::UserNamespace => {
                " (give the user a range in /etc/subuid and /etc/subgid, install `uidmap`, \
                 then run `podman system migrate`)"
            }
            Cause::StorageDamaged => {
                " (the image store is damaged; see `podman system check`, then \
                 `podman system check --repair`)"
            }
            Cause::Denied | Cause::NotFound | Cause::Network | Cause::Other => "",
        })
    }
}

#[cfg(test)]
mod tests;
