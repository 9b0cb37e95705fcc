//! Errors of the command: one line, hints, and the exit status that they come to.
//!
//! Libraries' errors arrive as chains of causes; they are joined here, once, and nowhere else.

use std::error::Error;
use std::fmt::{self, Write as _};

use archipelago::host::HostError;
use archipelago::inputs::InputProblem;
use archipelago::{CatalogError, CompanionsError};
use companion_core::ports::{PortError, PortErrorKind};
use companion_core::reconciler::ReconcileError;

/// How a command ended that had no error: what the exit status says besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the exit status is made of it"]
pub(crate) enum Verdict {
    /// All is as it was asked for: 0.
    Done,
    /// Something is not: 1.
    NotDone,
    /// The host lacks something: 3.
    Lacking,
}

impl Verdict {
    /// [`Done`](Self::Done) if `done`.
    pub(crate) fn of(done: bool) -> Self {
        if done { Self::Done } else { Self::NotDone }
    }

    /// The exit status.
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

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something failed: 1.
    Failure,
    /// What was given cannot be used: 2.
    Input,
    /// The host lacks something: 3.
    Host,
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct CommandError {
    fault: Fault,
    message: String,
    /// What is shown beneath the message, such as a line of a file.
    excerpt: Option<String>,
    hints: Vec<String>,
}

impl CommandError {
    /// Something failed.
    pub(crate) fn failure(message: impl Into<String>) -> Self {
        Self { fault: Fault::Failure, message: message.into(), excerpt: None, hints: Vec::new() }
    }

    /// What was given cannot be used.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { fault: Fault::Input, ..Self::failure(message) }
    }

    /// The host lacks something.
    pub(crate) fn host(message: impl Into<String>) -> Self {
        Self { fault: Fault::Host, ..Self::failure(message) }
    }

    /// The same with a hint of what helps.
    #[must_use]
    pub(crate) fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What is shown beneath the message, in lines of its own.
    pub(crate) fn excerpt(&self) -> Option<&str> {
        self.excerpt.as_deref()
    }

    /// What helps.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The exit status.
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

/// An error and all its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
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
        let error = Self { fault, ..Self::failure(chain(&error)) };
        match fault {
            Fault::Host => error.hinted("`companion doctor` says what this host lacks"),
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
            CompanionsError::LeaderHangs { .. } => command.hinted(
                "the intent is recorded; `--take-over` kills the process and leads instead",
            ),
            CompanionsError::OtherLeader { .. } => command.hinted(
                "nothing was recorded; put what should hold into the catalog file that it reads, \
                 leave the option out, or stop that process first",
            ),
            _ => command,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_one_line_in_the_order_of_causes() {
        let cause = PortError::new(PortErrorKind::Transient, "the bus hung up");
        let error = PortError::new(PortErrorKind::Transient, "failed to reload").with_source(cause);
        assert_eq!(chain(&error), "failed to reload: the bus hung up");
    }

    #[test]
    fn what_the_host_lacks_is_told_from_what_failed() {
        let status = |kind| CommandError::from(PortError::new(kind, "x")).status();
        assert_eq!(status(PortErrorKind::Unavailable), 3);
        assert_eq!(status(PortErrorKind::Denied), 3);
        assert_eq!(status(PortErrorKind::Transient), 1);
        assert_eq!(status(PortErrorKind::Conflict), 1);
        assert_eq!(CommandError::from(CatalogError::TooMany).status(), 2);
    }
}
