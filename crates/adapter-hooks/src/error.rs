//! Errors of hooks and their port error kinds.

use std::error::Error;
use std::time::Duration;

use companion_core::model::hook::HookName;
use companion_core::ports::{PortError, PortErrorKind};
use durable_dir::DirError;
use host_files::blocking::Stuck;
use host_files::errors::kind_of;

use crate::command::CommandError;
use crate::template::TemplateError;

/// Why observing, rendering, committing or removing a hook failed.
///
/// No variant contains a value, a line of a template or the output of a program.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// No hook is registered under this name.
    #[error("no hook is registered as `{0}`")]
    NotRegistered(HookName),
    /// Two hooks were registered under one name.
    #[error("a hook is already registered as `{0}`")]
    RegisteredTwice(HookName),
    /// A field of the hook's specification is invalid.
    #[error("`{field}` of the hook {why}")]
    Specification {
        /// The field.
        field: &'static str,
        /// The problem.
        why: String,
    },
    /// An input of the hook is missing.
    #[error("the hook is waiting for {waiting_for}")]
    NotReady {
        /// The missing input.
        waiting_for: String,
    },
    /// Reading an input failed.
    #[error("failed to read an input")]
    Input(#[source] DirError),
    /// An input has invalid contents.
    #[error("input `{path}` {why}")]
    UnusableInput {
        /// The input's file.
        path: String,
        /// The problem.
        why: &'static str,
    },
    /// The template or a value was rejected.
    #[error("failed to render the template")]
    Template(#[from] TemplateError),
    /// The program failed.
    #[error("failed to run the program `{program}`")]
    Command {
        /// The program's path.
        program: String,
        /// The cause.
        source: CommandError,
    },
    /// The hook rendered zero bytes.
    #[error("the hook rendered an empty file")]
    Empty,
    /// The rendered file is too large.
    #[error("the hook rendered {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Reading, writing or removing the output failed.
    #[error("failed to access the rendered file")]
    Output(#[source] DirError),
    /// An unmanaged object is at the rendered file's path.
    #[error("an unmanaged object is at the rendered file's path{hint}")]
    InTheWay {
        /// The likely reason, starting with `: `, or empty.
        hint: &'static str,
        /// The object.
        source: DirError,
    },
    /// Others have access to the output's directory, and it contains unrelated files.
    #[error(
        "the directory `{path}` has mode {mode:04o} and holds `{other}` besides the rendered file: \
         give the hook a separate directory, or restrict this one with `chmod 0700`"
    )]
    SharedDirectory {
        /// The directory.
        path: String,
        /// Its mode.
        mode: u32,
        /// One of the unrelated entries.
        other: String,
    },
    /// The output's directory belongs to another user.
    #[error("the directory `{path}` belongs to user {owner}, not to this user")]
    UnmanagedDirectory {
        /// The directory.
        path: String,
        /// Its owner.
        owner: u32,
    },
    /// The file system did not respond in time.
    #[error("the file system did not respond within {seconds} s")]
    NoAnswer {
        /// The time limit.
        seconds: u64,
    },
    /// A hook written in Rust failed.
    #[error("{message}")]
    Failed {
        /// The port error kind.
        kind: PortErrorKind,
        /// The message; never contains a secret.
        message: String,
        /// The cause.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl HookError {
    /// Creates the error of a hook written in Rust; `message` must not contain a secret.
    pub fn failed(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self::Failed { kind, message: message.into(), source: None }
    }

    /// Returns the error for file work with the time limit `limit`.
    ///
    /// The panic's message is dropped, because it may quote the hook's input.
    pub(crate) fn stuck(stuck: &Stuck, limit: Duration) -> Self {
        match stuck {
            Stuck::CutOff(_) => Self::failed(PortErrorKind::Transient, "the hook was interrupted"),
            Stuck::NoAnswer { .. } | Stuck::Full | Stuck::Busy => {
                Self::NoAnswer { seconds: limit.as_secs() }
            }
        }
    }

    /// Returns the port error kind.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::NotRegistered(_)
            | Self::RegisteredTwice(_)
            | Self::Specification { .. }
            | Self::UnusableInput { .. }
            | Self::Template(_)
            | Self::Empty
            | Self::TooLarge { .. } => PortErrorKind::Invalid,
            Self::NotReady { .. } => PortErrorKind::NotFound,
            Self::Input(cause) => kind_of_input(cause),
            Self::Command { source, .. } => source.kind(),
            Self::Output(cause) => kind_of_output(cause),
            Self::InTheWay { .. } => PortErrorKind::Conflict,
            Self::SharedDirectory { .. } | Self::UnmanagedDirectory { .. } => PortErrorKind::Denied,
            Self::NoAnswer { .. } => PortErrorKind::Transient,
            Self::Failed { kind, .. } => *kind,
        }
    }

    /// Returns the port error for `attempted` (a verb: `observe`) on the hook of `output`.
    pub(crate) fn for_port(self, attempted: &str, output: &str) -> PortError {
        PortError::new(self.kind(), format!("failed to {attempted} the hook of `{output}`"))
            .with_source(self)
    }
}

/// An input of the wrong kind or size is an error in the specification.
pub(crate) fn kind_of_input(cause: &DirError) -> PortErrorKind {
    match cause {
        DirError::NotFound { .. } => PortErrorKind::NotFound,
        DirError::NotADirectory { .. } | DirError::NotARegularFile { .. } => PortErrorKind::Invalid,
        other => kind_of(other),
    }
}

/// An unexpected object at the output's path is unmanaged.
fn kind_of_output(cause: &DirError) -> PortErrorKind {
    match cause {
        DirError::TooLarge { .. } => PortErrorKind::Conflict,
        other => kind_of(other),
    }
}
