//! Shows the steps of a running command on stderr: with a row for each companion on a capable terminal, otherwise
//! as plain lines.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use archipelago_companions::published::{EventKind, EventRecord};
use companion_core::model::companion::CompanionName;
use companion_core::status::Health;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Style, styled, words};

/// The rows that are shown, at most one display.
static SHOWN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// A step that takes less is printed without its duration, in milliseconds.
const SHORT: u64 = 100;

/// Runs `print` with the rows suspended.
pub(crate) fn above_the_line<T>(print: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(rows) => rows.suspend(print),
        None => print(),
    }
}

/// Prints `text` above the rows, unless it is empty.
pub(super) fn to_stderr(text: &str) {
    if text.trim_end().is_empty() {
        return;
    }
    // A failure of stderr cannot be reported, and must not stop the command.
    above_the_line(|| {
        let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
    });
}

/// Removes the rows.
pub(super) fn clear() {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(rows) = shown {
        // A failure of stderr must not stop the command.
        let _ = rows.clear();
    }
}

/// Returns whether stderr is a terminal that supports rows.
fn can_draw() -> bool {
    io::stderr().is_terminal() && super::is_capable(std::env::var_os("TERM").as_deref())
}

/// Shows the events of a leader.
pub(crate) struct Progress {
    colour: bool,
    rows: Option<Rows>,
}

impl Progress {
    /// Creates the progress display.
    pub(super) fn new(colour: bool) -> Self {
        let rows = can_draw().then(Rows::new).filter(|rows| !rows.display.is_hidden());
        if let Some(rows) = &rows {
            let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
            *shown = Some(rows.display.clone());
        }
        Self { colour, rows }
    }

    fn line(&self, style: Style, label: &str, text: &str) {
        to_stderr(&format!("{} {text}", styled(self.colour, style, label)));
    }

    /// Shows an event of the leader: this process, or the one that it waits for.
    pub(crate) fn show(&self, event: &EventRecord) {
        let EventRecord { companion, action, message, .. } = event;
        let name = companion.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let reason = message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let took = event.took.filter(|took| *took >= SHORT);
        let took = took.map(|took| format!(" ({})", words::milliseconds(took))).unwrap_or_default();
        if let Some(rows) = &self.rows {
            rows.show(event);
        }
        match event.kind {
            // Short steps print only their end; rows show the start.
            EventKind::Started
                if self.rows.is_none()
                    && matches!(&**action, "run-hook" | "ensure-image" | "start" | "restart") =>
            {
                self.line(Style::Busy, "started", &format!("{action}{name}{reason}"));
            }
            EventKind::Done => {
                self.line(Style::Good, "done", &format!("{action}{name}{reason}{took}"));
            }
            // The result names each cause once, with its fix.
            EventKind::Failed => self.line(Style::Bad, "failed", &format!("{action}{name}{took}")),
            EventKind::Started | EventKind::NotNeeded | EventKind::State | EventKind::Leader => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.rows.is_some() {
            clear();
        }
    }
}

/// A row for each companion that is worked on, with its current step.
struct Rows {
    display: MultiProgress,
    style: ProgressStyle,
    rows: Mutex<BTreeMap<CompanionName, Row>>,
}

struct Row {
    bar: ProgressBar,
    /// The running steps, in the order of their start: action and text.
    running: Vec<(String, String)>,
}

impl Rows {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:>4}");
        let style = style.unwrap_or_else(|_invalid| ProgressStyle::default_spinner());
        Self { display: MultiProgress::new(), style, rows: Mutex::default() }
    }

    /// Changes the row of the event's companion.
    fn show(&self, event: &EventRecord) {
        let Some(name) = &event.companion else { return };
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match event.kind {
            EventKind::Started => {
                let row = rows.entry(name.clone()).or_insert_with(|| self.row());
                let why = event.message.as_deref().unwrap_or_default();
                let text = format!("{name}  {}: {why}", event.action);
                row.bar.reset_elapsed();
                row.bar.set_message(text.clone());
                row.running.push((event.action.clone(), text));
            }
            EventKind::State if event.action != Health::Progressing.to_string() => {
                if let Some(row) = rows.remove(name) {
                    row.bar.finish_and_clear();
                    self.display.remove(&row.bar);
                }
            }
            EventKind::Done | EventKind::Failed | EventKind::NotNeeded => {
                let Some(row) = rows.get_mut(name) else { return };
                row.running.retain(|(action, _)| *action != event.action);
                row.bar.set_message(match row.running.first() {
                    Some((_, text)) => text.clone(),
                    None => format!("{name}  waiting until it is ready"),
                });
            }
            EventKind::State | EventKind::Leader => {}
        }
    }

    fn row(&self) -> Row {
        let bar = self.display.add(ProgressBar::new_spinner().with_style(self.style.clone()));
        bar.enable_steady_tick(Duration::from_millis(120));
        Row { bar, running: Vec::new() }
    }
}
