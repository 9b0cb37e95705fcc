//! Errors of podman calls and their port error kinds.
//!
//! Podman's exit status says little (125 covers all of podman's own errors), so the last lines of stderr determine the
//! cause. An unknown message never counts as absence.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use companion_core::ports::PortErrorKind;
use image_source::text::path_shown;

/// A podman call that failed.
#[derive(Debug, thiserror::Error)]
pub enum PodmanError {
    /// The program is not in `PATH`, or not at the given path.
    #[error("no `podman` in `{search}`; install the package `podman`")]
    Missing {
        /// The search path.
        search: String,
    },
    /// Starting the program failed.
    #[error("failed to start `{}`", path_shown(.program))]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It exceeded its time limit and was terminated.
    #[error("`{call}` did not exit within {} s{}", .limit.as_secs(), Said(.said))]
    TimedOut {
        /// The call.
        call: Verb,
        /// The limit.
        limit: Duration,
        /// The end of its stderr.
        said: String,
    },
    /// It failed.
    #[error("`{call}` failed with {ending}{}{}", Said(.said), Hint(*.cause))]
    Failed {
        /// The call.
        call: Verb,
        /// `exit status 125`, `signal 9`.
        ending: String,
        /// The exit status; `None` if a signal killed it.
        status: Option<i32>,
        /// The cause, as far as stderr reveals it.
        cause: Cause,
        /// The end of its stderr, escaped.
        said: String,
    },
    /// Reading required files timed out, or an earlier read is still in progress.
    #[error("the file system does not respond: {place}")]
    NoAnswer {
        /// The files.
        place: String,
    },
    /// Its output exceeds the limit.
    #[error("`{call}` printed more than {limit} bytes")]
    TooMuch {
        /// The call.
        call: Verb,
        /// The limit in bytes.
        limit: usize,
    },
    /// Its output is invalid.
    #[error("cannot parse the output of `{call}`")]
    Unreadable {
        /// The call.
        call: Verb,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// It was terminated because this program is shutting down.
    #[error("`{call}` was interrupted")]
    Interrupted {
        /// The call.
        call: Verb,
    },
    /// Waiting for the process failed.
    #[error("failed to wait for `{call}`")]
    Wait {
        /// The call.
        call: Verb,
        /// The system's error.
        source: io::Error,
    },
    /// Writing the image store to the disk failed.
    #[error("failed to write the image store `{}` to the disk", path_shown(.directory))]
    Sync {
        /// The store, or a part of it.
        directory: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The archive of an image would be too large.
    #[error("the image has {bytes} bytes; {limit} are left for its archive")]
    TooLarge {
        /// The size of the image, uncompressed.
        bytes: u64,
        /// What is left.
        limit: u64,
    },
    /// A build argument that cannot be passed, or would be read as another option.
    #[error("build argument `{name}` {rule}")]
    Argument {
        /// The argument's name, escaped; its value is never shown.
        name: String,
        /// The violated rule.
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
    /// `podman save`.
    Save,
    /// `podman load`.
    Load,
    /// `podman tag`.
    Tag,
    /// `podman image rm`.
    ImageRm,
    /// `podman ps`.
    Ps,
    /// `podman rm`.
    Rm,
    /// `podman run`.
    Run,
}

/// What a call needs besides its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    /// The proxies and certificates of the environment, because it contacts registries.
    pub(crate) network: bool,
    /// A file for its output, because it may outlive this process and has no answer.
    pub(crate) spool: bool,
    /// A temporary directory, because it copies images.
    pub(crate) temporary: bool,
}

impl Verb {
    /// Returns what this call needs.
    pub(crate) fn needs(self) -> Needs {
        let (network, spool, temporary) = match self {
            Self::Build | Self::Pull => (true, true, true),
            Self::Save => (false, true, true),
            Self::Load => (false, false, true),
            Self::Version
            | Self::Info
            | Self::Images
            | Self::ImageInspect
            | Self::Tag
            | Self::ImageRm
            | Self::Ps
            | Self::Rm
            | Self::Run => (false, false, false),
        };
        Needs { network, spool, temporary }
    }
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
            Self::Save => "podman save",
            Self::Load => "podman load",
            Self::Tag => "podman tag",
            Self::ImageRm => "podman image rm",
            Self::Ps => "podman ps",
            Self::Rm => "podman rm",
            Self::Run => "podman run",
        })
    }
}

/// The cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
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
    pub fn of(said: &str) -> Self {
        PHRASES
            .iter()
            .find(|(_, phrases)| phrases.iter().any(|phrase| said.contains(phrase)))
            .map(|(cause, _)| *cause)
            .or_else(|| misses_layer_file(said).then_some(Self::StorageDamaged))
            .unwrap_or(Self::Other)
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

impl PodmanError {
    /// Returns the port error kind.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Missing { .. } | Self::Start { .. } | Self::Unreadable { .. } => {
                PortErrorKind::Unavailable
            }
            Self::TimedOut { .. }
            | Self::NoAnswer { .. }
            | Self::TooMuch { .. }
            | Self::Interrupted { .. }
            | Self::Wait { .. }
            | Self::Sync { .. } => PortErrorKind::Transient,
            Self::Argument { .. } | Self::TooLarge { .. } => PortErrorKind::Invalid,
            Self::Failed { call, cause, .. } => match (cause, call) {
                (Cause::DiskFull | Cause::Network, _) => PortErrorKind::Transient,
                (Cause::UserNamespace | Cause::StorageDamaged, _) => PortErrorKind::Unavailable,
                (Cause::Denied, _) => PortErrorKind::Denied,
                // A missing base image is an error in the Dockerfile.
                (Cause::NotFound | Cause::Other, Verb::Build) => PortErrorKind::Invalid,
                (Cause::NotFound, _) => PortErrorKind::NotFound,
                (Cause::Other, _) => PortErrorKind::Transient,
            },
        }
    }

    /// Returns whether podman refused because stored data is damaged.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Failed { cause: Cause::StorageDamaged, .. })
    }

    /// Returns whether another way to the same image would fail for the same reason.
    pub(crate) fn is_of_the_host(&self) -> bool {
        match self {
            Self::Failed { cause, .. } => {
                matches!(cause, Cause::DiskFull | Cause::UserNamespace)
            }
            Self::Missing { .. }
            | Self::Start { .. }
            | Self::NoAnswer { .. }
            | Self::Sync { .. }
            | Self::Interrupted { .. } => true,
            Self::TimedOut { .. }
            | Self::TooMuch { .. }
            | Self::Unreadable { .. }
            | Self::Wait { .. }
            | Self::TooLarge { .. }
            | Self::Argument { .. } => false,
        }
    }
}

/// `: ` and the end of stderr, or nothing.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.0)
    }
}

/// How to fix the host, if known.
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
