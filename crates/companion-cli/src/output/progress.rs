//! Shows the steps of a running command on stderr: with a row for each companion on a capable terminal, otherwise
//! as plain lines.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use archipelago_companions::published::{EventKind, EventRecord};
use companion_core::model::companion::CompanionName;
use companion_core::status::Health;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Style, words};

/// The rows on stderr; hidden unless it is a terminal that supports them.
static ROWS: LazyLock<MultiProgress> = LazyLock::new(|| {
    let is_capable = io::stderr().is_terminal() && super::is_capable_terminal();
    MultiProgress::with_draw_target(match is_capable {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    })
});

/// A step that takes less is printed without its duration, in milliseconds.
const SHORT: u64 = 100;

/// Runs `print` with the rows suspended.
pub(crate) fn above_the_rows<T>(print: impl FnOnce() -> T) -> T {
    ROWS.suspend(print)
}

/// Prints `text` above the rows, unless it is empty.
pub(super) fn to_stderr(text: &str) {
    if text.trim_end().is_empty() {
        return;
    }
    // A failure of stderr cannot be reported, and must not stop the command.
    above_the_rows(|| {
        let _ = writeln!(anstream::stderr().lock(), "{}", text.trim_end());
    });
}

/// Removes the rows.
pub(super) fn clear() {
    // A failure of stderr must not stop the command.
    let _ = ROWS.clear();
}

/// Shows the events of a leader on stderr.
#[derive(Default)]
pub(crate) struct Progress {
    /// The companions that are worked on.
    rows: Mutex<BTreeMap<CompanionName, Row>>,
}

/// The row of a companion, with its current step.
struct Row {
    bar: ProgressBar,
    /// The running steps, in the order of their start: action and text.
    running: Vec<(String, String)>,
}

impl Progress {
    /// Shows an event of the leader: this process, or the one that it waits for.
    pub(crate) fn show(&self, event: &EventRecord) {
        let EventRecord { companion, action, message, .. } = event;
        let name = companion.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let reason = message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let took = event.took.filter(|took| *took >= SHORT);
        let took = took.map(|took| format!(" ({})", words::milliseconds(took))).unwrap_or_default();
        let has_rows = !ROWS.is_hidden();
        if has_rows {
            self.show_row(event);
        }
        let line = |style: Style, label, text: String| {
            to_stderr(&format!("{} {text}", style.paint(label)));
        };
        match event.kind {
            // Short steps print only their end; rows show the start.
            EventKind::Started
                if !has_rows
                    && matches!(&**action, "run-hook" | "ensure-image" | "start" | "restart") =>
            {
                line(Style::Busy, "started", format!("{action}{name}{reason}"));
            }
            EventKind::Done => line(Style::Good, "done", format!("{action}{name}{reason}{took}")),
            // The result names each cause once, with its fix.
            EventKind::Failed => line(Style::Bad, "failed", format!("{action}{name}{took}")),
            EventKind::Started | EventKind::NotNeeded | EventKind::State | EventKind::Leader => {}
        }
    }

    /// Changes the row of the event's companion.
    fn show_row(&self, event: &EventRecord) {
        let Some(name) = &event.companion else { return };
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match event.kind {
            EventKind::Started => {
                let row = rows.entry(name.clone()).or_insert_with(Row::new);
                let why = event.message.as_deref().unwrap_or_default();
                let text = format!("{name}  {}: {why}", event.action);
                row.bar.reset_elapsed();
                row.bar.set_message(text.clone());
                row.running.push((event.action.clone(), text));
            }
            EventKind::State if event.action != Health::Progressing.to_string() => {
                if let Some(row) = rows.remove(name) {
                    row.bar.finish_and_clear();
                    ROWS.remove(&row.bar);
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
}

impl Row {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:>4}");
        let style = style.unwrap_or_else(|_invalid| ProgressStyle::default_spinner());
        let bar = ROWS.add(ProgressBar::new_spinner().with_style(style));
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, running: Vec::new() }
    }
}
