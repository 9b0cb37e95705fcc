//! Prints data to stdout and messages to stderr.
//!
//! A closed pipe (`companion status | head -1`) is not an error and does not stop the command.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use clap::ColorChoice;
use companion_core::status::Health;
use serde::Serialize;

use crate::error::{CommandError, CommandResult};

pub(crate) mod progress;
mod table;
pub(crate) mod words;

pub(crate) use progress::Progress;
pub(crate) use table::Table;

/// The output of a command.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    failed: Mutex<Option<io::Error>>,
}

/// The style of a text, if colours are enabled. A colour never carries the only information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Healthy or successful.
    Good,
    /// In progress.
    Busy,
    /// Unhealthy or failed.
    Bad,
    /// A heading.
    Strong,
    /// Less important.
    Faint,
}

impl Style {
    /// Returns the style of a companion's state.
    pub(crate) fn of(health: Health) -> Self {
        match health {
            Health::Ready => Self::Good,
            Health::Progressing | Health::Removing => Self::Busy,
            Health::Degraded | Health::Blocked | Health::Orphaned | Health::Unknown => Self::Bad,
        }
    }

    /// Returns `text` in this style; a stream without colours drops the control sequences.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Good => "32",
            Self::Busy => "33",
            Self::Bad => "31",
            Self::Strong => "1",
            Self::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Returns whether the terminal supports control sequences: `TERM` is set and is not `dumb` (terminfo(5)).
fn is_capable_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

impl Output {
    /// Creates the output; `json` selects JSON for data, `color` the colours of this process.
    pub(crate) fn new(json: bool, color: ColorChoice) -> Self {
        let choice = match color {
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Auto if is_capable_terminal() => anstream::ColorChoice::Auto,
            ColorChoice::Auto | ColorChoice::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        Self { json, failed: Mutex::default() }
    }

    /// Returns whether data is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line of data.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.write(|| writeln!(anstream::stdout(), "{}", text.as_ref()));
    }

    /// Prints `value` as indented JSON.
    pub(crate) fn json(&self, value: &impl Serialize) {
        self.write(|| writeln!(io::stdout(), "{}", serde_json::to_string_pretty(value)?));
    }

    /// Prints raw bytes.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        self.write(|| io::stdout().write_all(bytes));
    }

    /// Writes to stdout until that fails once.
    fn write(&self, write: impl FnOnce() -> io::Result<()>) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_none() {
            let written = progress::above_the_rows(|| write().and_then(|()| io::stdout().flush()));
            *failed = written.err();
        }
    }

    /// Returns whether stdout can no longer be written to, such as a closed pipe.
    pub(crate) fn is_closed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Prints a note to stderr.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        progress::to_stderr(&format!("{} {}", Style::Faint.paint("note:"), text.as_ref()));
    }

    /// Prints lines of a file below a message.
    pub(crate) fn excerpt(&self, text: &str) {
        progress::to_stderr(text);
    }

    /// Prints the error, if any, and returns the exit status.
    pub(crate) fn finish(&self, outcome: CommandResult) -> ExitCode {
        progress::clear();
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let outcome = match (outcome, failed) {
            (Ok(_), Some(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommandError::failure(format!("failed to write to stdout: {error}")))
            }
            (outcome, _) => outcome,
        };
        let verdict = outcome.unwrap_or_else(|error| {
            progress::to_stderr(&format!("{} {error}", Style::Bad.paint("error:")));
            error.excerpt.iter().for_each(|excerpt| self.excerpt(excerpt));
            for hint in &error.hints {
                progress::to_stderr(&format!("{} {hint}", Style::Strong.paint("hint:")));
            }
            error.verdict
        });
        ExitCode::from(verdict as u8)
    }
}
