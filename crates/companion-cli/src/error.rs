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
    verdict: Verdict,
    message: String,
    /// Text below the message, such as a line of a file.
    excerpt: Option<String>,
    hints: Vec<String>,
}

impl CommandError {
    /// Creates an error for a failure.
    pub fn failure(message: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::NotDone,
            message: message.into(),
            excerpt: None,
            hints: Vec::new(),
        }
    }

    /// Creates an error for invalid input.
    pub fn input(message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Invalid, ..Self::failure(message) }
    }

    /// Creates an error for a missing prerequisite.
    pub fn host(message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Missing, ..Self::failure(message) }
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

    /// Returns what the command ends with.
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The hint of a missing prerequisite.
const LISTS_MISSING: &str = "`companion doctor` lists the missing prerequisites";

fn verdict_of(kind: PortErrorKind) -> Verdict {
    match kind {
        PortErrorKind::Unavailable | PortErrorKind::Denied => Verdict::Missing,
        PortErrorKind::Transient
        | PortErrorKind::NotFound
        | PortErrorKind::Conflict
        | PortErrorKind::Invalid => Verdict::NotDone,
    }
}

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
        let verdict = match &error {
            HostError::ServiceManager { source, .. } => verdict_of(source.kind()),
            HostError::Prerequisite { .. } => Verdict::Missing,
        };
        let is_user_bus = matches!(&error, HostError::ServiceManager { manager, .. }
            if manager.contains("user"));
        let error = Self { verdict, ..Self::failure(chain(&error)) };
        match (verdict, is_user_bus) {
            (Verdict::Missing, true) => error.hinted(
                "loginctl enable-linger, or log in; `companion doctor` lists what is missing",
            ),
            (Verdict::Missing, false) => error.hinted(LISTS_MISSING),
            _ => error,
        }
    }
}

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        let converted = Self { verdict: verdict_of(error.kind()), ..Self::failure(chain(&error)) };
        match error.kind() {
            PortErrorKind::Unavailable => converted.hinted(LISTS_MISSING),
            _ => converted,
        }
    }
}

impl From<ReconcileError> for CommandError {
    fn from(error: ReconcileError) -> Self {
        Self { verdict: verdict_of(error.kind()), ..Self::failure(chain(&error)) }
    }
}

impl From<CompanionsError> for CommandError {
    fn from(error: CompanionsError) -> Self {
        let message = chain(&error);
        match error {
            CompanionsError::Record(cause) => {
                let kind = cause.kind();
                let error = Self { verdict: verdict_of(kind), ..Self::failure(message) };
                let has_a_fix = matches!(
                    kind,
                    PortErrorKind::Invalid | PortErrorKind::Denied | PortErrorKind::Conflict
                );
                match has_a_fix {
                    true => error.hinted(
                        "`companion doctor`, with the same `--state-dir` if given, prints the fix",
                    ),
                    false => error,
                }
            }
            CompanionsError::Status(cause) => {
                Self { verdict: verdict_of(cause.kind()), ..Self::failure(message) }
            }
            CompanionsError::Reconcile(cause) => {
                Self { verdict: verdict_of(cause.kind()), ..Self::failure(message) }
            }
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
    use archipelago_companions::Catalog;

    use super::*;

    #[test]
    fn missing_prerequisites_and_failures_have_different_exit_statuses() {
        let status = |error: CommandError| error.verdict() as u8;
        let of_port = |kind| status(PortError::new(kind, "x").into());
        assert_eq!(of_port(PortErrorKind::Unavailable), 3);
        assert_eq!(of_port(PortErrorKind::Denied), 3);
        assert_eq!(of_port(PortErrorKind::Transient), 1);
        assert_eq!(of_port(PortErrorKind::Conflict), 1);
        assert_eq!(status(Catalog::with_files(&["missing.toml"]).unwrap_err().into()), 2);
    }

    #[test]
    fn hint_at_doctor_is_given_where_doctor_has_a_fix() {
        let has_hint = |error: CommandError| !error.hints().is_empty();
        for (kind, of_port, of_record) in [
            (PortErrorKind::Unavailable, true, false),
            (PortErrorKind::Denied, false, true),
            (PortErrorKind::Conflict, false, true),
            (PortErrorKind::Invalid, false, true),
            (PortErrorKind::Transient, false, false),
        ] {
            assert_eq!(has_hint(PortError::new(kind, "x").into()), of_port, "{kind:?}");
            let record = CompanionsError::Record(PortError::new(kind, "x"));
            assert_eq!(has_hint(record.into()), of_record, "{kind:?}");
        }
    }
}
