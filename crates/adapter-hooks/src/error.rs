//! Errors of hooks and their port error kinds.

use companion_core::model::hook::HookSpec;
use companion_core::ports::{PortError, PortErrorKind};
use durable_dir::{DirError, FileKind};
use host_files::blocking::Stuck;
use host_files::errors::kind_of;

use crate::template::TemplateError;

/// Why observing, rendering, committing or removing a hook failed.
///
/// It contains no value, no line of a template and no output of a program.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// An input of the hook is missing.
    #[error("the hook is waiting for {waiting_for}")]
    NotReady {
        /// The missing input, for people; never a secret.
        waiting_for: String,
    },
    /// The hook failed.
    #[error(transparent)]
    Failed(#[from] PortError),
}

impl HookError {
    /// Creates the error of a hook that failed; `message` must not contain a secret.
    pub fn failed(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self::Failed(PortError::new(kind, message))
    }

    /// The specification of the hook, or an input's contents, are invalid.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::failed(PortErrorKind::Invalid, message)
    }

    /// Reading an input failed.
    pub(crate) fn input(cause: DirError) -> Self {
        let error = PortError::new(kind_of_input(&cause), "failed to read an input");
        Self::Failed(error.with_source(cause))
    }

    /// Returns the port error kind.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::NotReady { .. } => PortErrorKind::NotFound,
            Self::Failed(error) => error.kind(),
        }
    }

    /// Returns a function that converts an error of `attempted` (a verb: `observe`) on `hook`.
    pub(crate) fn during(attempted: &str, hook: &HookSpec) -> impl Fn(Self) -> PortError {
        let message = format!("failed to {attempted} the hook of `{}`", hook.output);
        move |error| PortError::new(error.kind(), message.as_str()).with_source(error)
    }
}

/// Reading, writing or removing the output failed. An object of another kind, or more files than the limit, is a conflict.
impl From<DirError> for HookError {
    fn from(cause: DirError) -> Self {
        let (kind, message) = match &cause {
            DirError::TooLarge { .. } => (PortErrorKind::Conflict, "there are too many files"),
            DirError::NotARegularFile { kind: FileKind::Directory, .. } => (
                PortErrorKind::Conflict,
                "an unmanaged object is at the rendered file's path: container engines make a \
                 directory at a mount's source when the file is missing; stop the container and \
                 remove the directory if it is empty",
            ),
            _ => (kind_of(&cause), "failed to access the rendered file"),
        };
        Self::Failed(PortError::new(kind, message).with_source(cause))
    }
}

/// The panic's message is dropped, because it may quote the hook's input.
impl From<Stuck> for HookError {
    fn from(stuck: Stuck) -> Self {
        let message = match stuck {
            Stuck::CutOff(_) => "the hook was interrupted".to_owned(),
            Stuck::NoAnswer { .. } | Stuck::Busy => stuck.to_string(),
        };
        Self::failed(PortErrorKind::Transient, message)
    }
}

impl From<TemplateError> for HookError {
    fn from(error: TemplateError) -> Self {
        let failed = PortError::new(PortErrorKind::Invalid, "failed to render the template");
        Self::Failed(failed.with_source(error))
    }
}

/// An input of the wrong kind or size is an error in the specification.
pub(crate) fn kind_of_input(cause: &DirError) -> PortErrorKind {
    match kind_of(cause) {
        PortErrorKind::Conflict => PortErrorKind::Invalid,
        other => other,
    }
}
