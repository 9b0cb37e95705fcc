//! What can go wrong with a hook, and what the caller of the port can do about it.

use std::error::Error;

use companion_core::model::hook::HookName;
use companion_core::ports::{PortError, PortErrorKind};
use durable_dir::DirError;

use crate::command::CommandError;
use crate::template::TemplateError;

/// Why a hook could not be observed, rendered, put in place or removed.
///
/// No variant holds a value, a line of a template or the output of a program.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The host program knows no hook of this name.
    #[error("no hook is registered as `{0}`")]
    NotRegistered(HookName),
    /// The host program registered two hooks under one name.
    #[error("a hook is already registered as `{0}`")]
    RegisteredTwice(HookName),
    /// A field of the hook's specification can never work.
    #[error("`{field}` of the hook {why}")]
    Specification {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Something that the hook reads is not there yet.
    #[error("the hook waits for {waiting_for}")]
    NotReady {
        /// What it waits for.
        waiting_for: String,
    },
    /// An input cannot be read.
    #[error("failed to read an input")]
    Input(#[source] DirError),
    /// An input has no usable contents.
    #[error("input `{path}` {why}")]
    UnusableInput {
        /// The input's file.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The template or a value was refused.
    #[error("failed to render the template")]
    Template(#[from] TemplateError),
    /// The program did not deliver.
    #[error("failed to run the program")]
    Command(#[from] CommandError),
    /// The hook rendered no byte at all.
    #[error("the hook rendered an empty file")]
    Empty,
    /// The rendered file is too large.
    #[error("the hook rendered {bytes} bytes, more than the {limit} that are allowed")]
    TooLarge {
        /// How many bytes there are.
        bytes: usize,
        /// How many may be.
        limit: usize,
    },
    /// The output cannot be read, written or removed.
    #[error("failed to access the rendered file")]
    Output(#[source] DirError),
    /// Something that is not ours lies where the rendered file belongs.
    #[error("something that is not a rendered file is in its place{hint}")]
    InTheWay {
        /// What most likely happened, beginning with `: `, or empty.
        hint: &'static str,
        /// What lies there.
        source: DirError,
    },
    /// The directory of the output is open to others, and not the hook's own to close.
    #[error(
        "the directory `{path}` has mode {mode:04o} and holds `{other}` besides the rendered file: \
         give the hook a directory of its own, or close this one with `chmod 0700`"
    )]
    SharedDirectory {
        /// The directory.
        path: String,
        /// Its mode.
        mode: u32,
        /// One of the entries that are not the hook's.
        other: String,
    },
    /// The directory of the output belongs to someone else.
    #[error("the directory `{path}` belongs to user {owner}, not to us")]
    UnmanagedDirectory {
        /// The directory.
        path: String,
        /// Its owner.
        owner: u32,
    },
    /// The file system did not answer in time.
    #[error("the file system did not answer within {seconds} s")]
    NoAnswer {
        /// How long it was waited for.
        seconds: u64,
    },
    /// A hook written in Rust failed in its own way.
    #[error("{message}")]
    Failed {
        /// What the caller can do.
        kind: PortErrorKind,
        /// What failed; never a secret.
        message: String,
        /// The cause.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl HookError {
    /// The error of a hook written in Rust; `message` must not hold a secret.
    pub fn failed(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self::Failed { kind, message: message.into(), source: None }
    }

    /// What the caller can do.
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
            Self::Command(cause) => cause.kind(),
            Self::Output(cause) => kind_of_output(cause),
            Self::InTheWay { .. } => PortErrorKind::Conflict,
            Self::SharedDirectory { .. } | Self::UnmanagedDirectory { .. } => PortErrorKind::Denied,
            Self::NoAnswer { .. } => PortErrorKind::Transient,
            Self::Failed { kind, .. } => *kind,
        }
    }

    /// The port's error, saying that `attempted` (a participle: `observed`) failed for the hook of
    /// `output`.
    pub(crate) fn for_port(self, attempted: &str, output: &str) -> PortError {
        PortError::new(
            self.kind(),
            format!("the hook that renders `{output}` could not be {attempted}"),
        )
        .with_source(self)
    }
}

/// An input that is of the wrong kind or size is a matter of the specification.
pub(crate) fn kind_of_input(cause: &DirError) -> PortErrorKind {
    match cause {
        DirError::NotFound { .. } => PortErrorKind::NotFound,
        DirError::Denied { .. } | DirError::Untrusted { .. } => PortErrorKind::Denied,
        DirError::NotADirectory { .. }
        | DirError::TooLarge { .. }
        | DirError::NotARegularFile { .. }
        | DirError::InvalidName { .. } => PortErrorKind::Invalid,
        DirError::ReadOnly { .. } | DirError::Full { .. } | DirError::Io { .. } => {
            PortErrorKind::Transient
        }
    }
}

/// Whatever lies in the output's place is somebody else's.
fn kind_of_output(cause: &DirError) -> PortErrorKind {
    match cause {
        DirError::NotADirectory { .. }
        | DirError::NotARegularFile { .. }
        | DirError::TooLarge { .. } => PortErrorKind::Conflict,
        DirError::NotFound { .. } => PortErrorKind::Transient,
        DirError::InvalidName { .. } => PortErrorKind::Invalid,
        DirError::Denied { .. } | DirError::Untrusted { .. } => PortErrorKind::Denied,
        DirError::ReadOnly { .. } | DirError::Full { .. } | DirError::Io { .. } => {
            PortErrorKind::Transient
        }
    }
}
