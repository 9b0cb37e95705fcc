//! Errors of the command: a one-line message, hints, and the exit status.

use std::fmt;

use archipelago_companions::host::HostError;
use archipelago_companions::inputs::InputProblem;
use archipelago_companions::{CatalogError, CompanionsError};
use companion_core::error_chain::chain;
use companion_core::ports::{PortError, PortErrorKind};
use companion_core::reconciler::ReconcileError;

/// The result of a command, with its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it determines the exit status"]
pub(crate) enum Verdict {
    /// Everything is as requested.
    Done = 0,
    /// Something failed, or is not as requested.
    NotDone = 1,
    /// The input is invalid.
    Invalid = 2,
    /// A prerequisite is missing.
    Missing = 3,
}

impl Verdict {
    /// [`Done`](Self::Done) if `done`.
    pub(crate) fn of(done: bool) -> Self {
        if done { Self::Done } else { Self::NotDone }
    }
}

/// The result of a command.
pub(crate) type CommandResult<T = Verdict> = Result<T, CommandError>;

/// The error of a command: a message, hints and the exit status.
#[derive(Debug)]
pub struct CommandError {
    /// What the command ends with.
    pub(crate) verdict: Verdict,
    message: String,
    /// Text below the message, such as a line of a file.
    pub(crate) excerpt: Option<String>,
    pub(crate) hints: Vec<String>,
}

impl CommandError {
    fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        Self { verdict, message: message.into(), excerpt: None, hints: Vec::new() }
    }

    /// Creates an error for a failure.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(Verdict::NotDone, message)
    }

    /// Creates an error for invalid input.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Verdict::Invalid, message)
    }

    /// Creates an error for a missing prerequisite.
    pub fn host(message: impl Into<String>) -> Self {
        Self::new(Verdict::Missing, message)
    }

    /// Creates the error of a port.
    fn of(kind: PortErrorKind, message: String) -> Self {
        match kind {
            PortErrorKind::Unavailable | PortErrorKind::Denied => Self::host(message),
            PortErrorKind::Transient
            | PortErrorKind::NotFound
            | PortErrorKind::Conflict
            | PortErrorKind::Invalid => Self::failure(message),
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The hint of a missing prerequisite.
const LISTS_MISSING: &str = "`companion doctor` lists the missing prerequisites";

impl From<CatalogError> for CommandError {
    fn from(error: CatalogError) -> Self {
        let excerpt = error.place().map(|place| place.excerpt.clone());
        Self { excerpt, ..Self::input(chain(&error)) }
    }
}

impl From<InputProblem> for CommandError {
    fn from(problem: InputProblem) -> Self {
        Self { excerpt: problem.excerpt, ..Self::input(problem.message) }
    }
}

impl From<HostError> for CommandError {
    fn from(error: HostError) -> Self {
        let message = chain(&error);
        let HostError::ServiceManager { manager, source } = error else {
            return Self::host(message).hinted(LISTS_MISSING);
        };
        let error = Self::of(source.kind(), message);
        match error.verdict {
            Verdict::Missing if manager.contains("user") => error.hinted(
                "loginctl enable-linger, or log in; `companion doctor` lists what is missing",
            ),
            Verdict::Missing => error.hinted(LISTS_MISSING),
            _ => error,
        }
    }
}

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        let converted = Self::of(error.kind(), chain(&error));
        match error.kind() {
            PortErrorKind::Unavailable => converted.hinted(LISTS_MISSING),
            _ => converted,
        }
    }
}

impl From<ReconcileError> for CommandError {
    fn from(error: ReconcileError) -> Self {
        Self::of(error.kind(), chain(&error))
    }
}

impl From<CompanionsError> for CommandError {
    fn from(error: CompanionsError) -> Self {
        let message = chain(&error);
        match error {
            CompanionsError::Record(cause) => {
                let error = Self::of(cause.kind(), message);
                match cause.kind() {
                    PortErrorKind::Invalid | PortErrorKind::Denied | PortErrorKind::Conflict => {
                        error.hinted(
                            "`companion doctor`, with the same `--state-dir` if given, prints the fix",
                        )
                    }
                    _ => error,
                }
            }
            CompanionsError::Status(cause) => Self::of(cause.kind(), message),
            CompanionsError::Reconcile(cause) => Self::of(cause.kind(), message),
            CompanionsError::LeaderIsSlow { .. } => Self::failure(message),
            CompanionsError::LeaderHangs { .. } => Self::failure(message)
                .hinted("the intent is recorded; `--take-over` kills the process and takes over"),
            CompanionsError::OtherLeader { .. } => Self::input(message).hinted(
                "nothing was recorded; add the setting to the catalog file of that process, omit the \
                 option, or stop the process first",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_decides_on_the_exit_status_and_the_hint_at_doctor() {
        for (kind, status, of_port, of_record) in [
            (PortErrorKind::Unavailable, Verdict::Missing, true, false),
            (PortErrorKind::Denied, Verdict::Missing, false, true),
            (PortErrorKind::Conflict, Verdict::NotDone, false, true),
            (PortErrorKind::Invalid, Verdict::NotDone, false, true),
            (PortErrorKind::Transient, Verdict::NotDone, false, false),
        ] {
            let port: CommandError = PortError::new(kind, "x").into();
            let record: CommandError = CompanionsError::Record(PortError::new(kind, "x")).into();
            assert_eq!((port.verdict, record.verdict), (status, status), "{kind:?}");
            let hinted = (!port.hints.is_empty(), !record.hints.is_empty());
            assert_eq!(hinted, (of_port, of_record), "{kind:?}");
        }
    }
}
