//! Errors of the command: a one-line message, hints, and the exit status.

use std::fmt;

use archipelago_companions::host::HostError;
use archipelago_companions::inputs::InputProblem;
use archipelago_companions::{CatalogError, CompanionsError};
use companion_core::error_chain::chain;
use companion_core::ports::{PortError, PortErrorKind};
use companion_core::reconciler::ReconcileError;

/// The result of a command without an error, as an exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it determines the exit status"]
pub(crate) enum Verdict {
    /// Everything is as requested: 0.
    Done,
    /// Something is not as requested: 1.
    NotDone,
    /// A prerequisite is missing: 3.
    Lacking,
}

impl Verdict {
    /// [`Done`](Self::Done) if `done`.
    pub(crate) fn of(done: bool) -> Self {
        if done { Self::Done } else { Self::NotDone }
    }

    /// Returns the exit status.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotDone => 1,
            Self::Lacking => 3,
        }
    }
}

/// The result of a command.
pub(crate) type CommandResult<T = Verdict> = Result<T, CommandError>;

/// The category of an error, with its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something failed: 1.
    Failure,
    /// The input is invalid: 2.
    Input,
    /// A prerequisite is missing: 3.
    Host,
}

/// The error of a command: a message, hints and the exit status.
#[derive(Debug)]
pub struct CommandError {
    fault: Fault,
    message: String,
    /// Text below the message, such as a line of a file.
    excerpt: Option<String>,
    hints: Vec<String>,
}

impl CommandError {
    /// Creates an error for a failure.
    pub fn failure(message: impl Into<String>) -> Self {
        Self { fault: Fault::Failure, message: message.into(), excerpt: None, hints: Vec::new() }
    }

    /// Creates an error for invalid input.
    pub fn input(message: impl Into<String>) -> Self {
        Self { fault: Fault::Input, ..Self::failure(message) }
    }

    /// Creates an error for a missing prerequisite.
    pub fn host(message: impl Into<String>) -> Self {
        Self { fault: Fault::Host, ..Self::failure(message) }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the text to show below the message.
    pub(crate) fn excerpt(&self) -> Option<&str> {
        self.excerpt.as_deref()
    }

    /// Returns the hints.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Returns the exit status.
    pub(crate) fn status(&self) -> u8 {
        match self.fault {
            Fault::Failure => 1,
            Fault::Input => 2,
            Fault::Host => 3,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn fault_of(kind: PortErrorKind) -> Fault {
    match kind {
        PortErrorKind::Unavailable | PortErrorKind::Denied => Fault::Host,
        PortErrorKind::Transient
        | PortErrorKind::NotFound
        | PortErrorKind::Conflict
        | PortErrorKind::Invalid => Fault::Failure,
    }
}

impl From<CatalogError> for CommandError {
    fn from(error: CatalogError) -> Self {
        let excerpt = error.place().map(|place| place.excerpt().to_owned());
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
        let fault = match &error {
            HostError::ServiceManager { source, .. } => fault_of(source.kind()),
            _ => Fault::Host,
        };
        let is_user_bus = matches!(&error, HostError::ServiceManager { manager, .. }
            if manager.contains("user"));
        let error = Self { fault, ..Self::failure(chain(&error)) };
        match fault {
            Fault::Host if is_user_bus => error.hinted(
                "loginctl enable-linger, or log in; `companion doctor` lists what is missing",
            ),
            Fault::Host => error.hinted("`companion doctor` lists the missing prerequisites"),
            Fault::Failure | Fault::Input => error,
        }
    }
}

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        Self { fault: fault_of(error.kind()), ..Self::failure(chain(&error)) }
    }
}

impl From<ReconcileError> for CommandError {
    fn from(error: ReconcileError) -> Self {
        Self { fault: fault_of(error.kind()), ..Self::failure(chain(&error)) }
    }
}

impl From<CompanionsError> for CommandError {
    fn from(error: CompanionsError) -> Self {
        let fault = match &error {
            CompanionsError::Record(cause) | CompanionsError::Status(cause) => {
                fault_of(cause.kind())
            }
            CompanionsError::Reconcile(cause) => fault_of(cause.kind()),
            CompanionsError::LeaderHangs { .. } | CompanionsError::LeaderIsSlow { .. } => {
                Fault::Failure
            }
            CompanionsError::OtherLeader { .. } => Fault::Input,
        };
        let command = Self { fault, ..Self::failure(chain(&error)) };
        match &error {
            CompanionsError::Record(_) => command.hinted(
                "`companion doctor` checks the state directory, and prints what fixes it",
            ),
            CompanionsError::LeaderHangs { .. } => command.hinted(
                "the intent is recorded; `--take-over` kills the process and takes over",
            ),
            CompanionsError::OtherLeader { .. } => command.hinted(
                "nothing was recorded; add the setting to the catalog file of that process, omit the \
                 option, or stop the process first",
            ),
            _ => command,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_prerequisites_and_failures_have_different_exit_statuses() {
        let status = |kind| CommandError::from(PortError::new(kind, "x")).status();
        assert_eq!(status(PortErrorKind::Unavailable), 3);
        assert_eq!(status(PortErrorKind::Denied), 3);
        assert_eq!(status(PortErrorKind::Transient), 1);
        assert_eq!(status(PortErrorKind::Conflict), 1);
        assert_eq!(CommandError::from(CatalogError::TooMany).status(), 2);
    }
}
