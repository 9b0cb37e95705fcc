//! Prints data to stdout and messages to stderr.
//!
//! A closed pipe (`companion status | head -1`) is not an error and does not stop the command.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use companion_core::status::Health;
use serde::Serialize;

use crate::arguments::ColorArgument;
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
    colour: bool,
    error_colour: bool,
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

    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Busy => "33",
            Self::Bad => "31",
            Self::Strong => "1",
            Self::Faint => "2",
        }
    }
}

/// Returns whether to use colours on a stream.
pub(crate) fn colours(color: ColorArgument, terminal: bool) -> bool {
    match color {
        ColorArgument::Always => true,
        ColorArgument::Never => false,
        // Any value that is not empty counts (no-color.org).
        ColorArgument::Auto => {
            terminal
                && is_capable(std::env::var_os("TERM").as_deref())
                && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        }
    }
}

/// Returns whether a terminal supports control sequences: `TERM` is set and is not `dumb` (terminfo(5)).
fn is_capable(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

fn styled(colour: bool, style: Style, text: &str) -> String {
    match colour {
        true => format!("\u{1b}[{}m{text}\u{1b}[0m", style.code()),
        false => text.to_owned(),
    }
}

impl Output {
    /// Creates the output; `json` selects JSON for data.
    pub(crate) fn new(json: bool, color: ColorArgument) -> Self {
        Self {
            json,
            colour: colours(color, io::stdout().is_terminal()),
            error_colour: colours(color, io::stderr().is_terminal()),
            failed: Mutex::default(),
        }
    }

    /// Returns whether data is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Styles `text` for stdout.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        styled(self.colour, style, text)
    }

    /// Prints a line of data.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.bytes(format!("{}\n", text.as_ref()).as_bytes());
    }

    /// Prints `value` as indented JSON.
    pub(crate) fn json(&self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.line(text),
            Err(error) => self.note_failure(error.into()),
        }
    }

    /// Prints raw bytes.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some() {
            return;
        }
        let written = progress::above_the_line(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        });
        *failed = written.err();
    }

    /// Returns whether stdout can no longer be written to, such as a closed pipe.
    pub(crate) fn is_closed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn note_failure(&self, error: io::Error) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Prints a note to stderr.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.tell(Style::Faint, "note:", text.as_ref());
    }

    /// Prints lines of a file below a message.
    pub(crate) fn excerpt(&self, text: &str) {
        progress::to_stderr(text);
    }

    /// Returns the progress display on stderr.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(self.error_colour)
    }

    fn tell(&self, style: Style, label: &str, text: &str) {
        progress::to_stderr(&format!("{} {text}", styled(self.error_colour, style, label)));
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
            self.tell(Style::Bad, "error:", &error.to_string());
            error.excerpt().into_iter().for_each(|excerpt| self.excerpt(excerpt));
            error.hints().iter().for_each(|hint| self.tell(Style::Strong, "hint:", hint));
            error.verdict()
        });
        ExitCode::from(verdict as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_argument_selects_colours() {
        assert!(colours(ColorArgument::Always, false));
        assert!(!colours(ColorArgument::Never, true));
        assert!(!colours(ColorArgument::Auto, false));
    }

    #[test]
    fn unknown_and_dumb_terminals_get_plain_lines() {
        assert!(is_capable(Some("xterm".as_ref())));
        for plain in [None, Some(""), Some("dumb")] {
            assert!(!is_capable(plain.map(OsStr::new)), "{plain:?}");
        }
    }

    #[test]
    fn a_text_without_colour_is_the_text() {
        assert_eq!(styled(false, Style::Bad, "blocked"), "blocked");
        assert_eq!(styled(true, Style::Bad, "blocked"), "\u{1b}[31mblocked\u{1b}[0m");
    }
}
