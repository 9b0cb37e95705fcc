//! Shows the steps of a running command on stderr: with a spinner on a capable terminal, otherwise as plain
//! lines.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use archipelago_companions::published::{EventKind, EventRecord};
use companion_core::model::companion::CompanionName;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Style, styled};

/// The current spinner, at most one.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Runs `print` with the spinner suspended.
pub(crate) fn above_the_line<T>(print: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Removes the spinner.
pub(super) fn clear() {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = shown {
        bar.finish_and_clear();
    }
}

/// Returns whether stderr is a terminal that supports a spinner.
fn can_draw() -> bool {
    io::stderr().is_terminal() && super::is_capable(std::env::var_os("TERM").as_deref())
}

/// Shows the events of a leader.
pub(crate) struct Progress {
    colour: bool,
    bar: Option<ProgressBar>,
    /// The running steps, in the order of their start.
    running: Mutex<Vec<Running>>,
}

/// A running step.
struct Running {
    companion: Option<CompanionName>,
    action: String,
    text: String,
}

impl Progress {
    /// Creates the progress display.
    pub(super) fn new(colour: bool) -> Self {
        let bar = can_draw().then(ProgressBar::new_spinner).filter(|bar| !bar.is_hidden());
        if let Some(bar) = &bar {
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        }
        Self { colour, bar, running: Mutex::default() }
    }

    fn line(&self, style: Style, label: &str, text: &str) {
        let line = format!("{} {text}", styled(self.colour, style, label));
        // A failure of stderr must not stop the command.
        above_the_line(|| {
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }

    /// Changes the list of running steps, and shows the first one.
    fn note(&self, change: impl FnOnce(&mut Vec<Running>)) {
        let Some(bar) = &self.bar else { return };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut running);
        bar.set_message(match &running[..] {
            [] => "waiting until the companions are ready".to_owned(),
            [one] => one.text.clone(),
            [first, others @ ..] => format!("{} (and {} more)", first.text, others.len()),
        });
    }

    /// Shows an event of the leader: this process, or the one that it waits for.
    pub(crate) fn show(&self, event: &EventRecord) {
        let EventRecord { companion, action, message, .. } = event;
        let name = companion.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let reason = message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let text = format!("{action}{name}{reason}");
        let took = event.took.filter(|took| *took >= 1000);
        let took = took.map(|took| format!(" ({} s)", took / 1000)).unwrap_or_default();
        match event.kind {
            EventKind::Started => {
                let (companion, action) = (companion.clone(), action.clone());
                // Short steps print only their end.
                if matches!(action.as_str(), "run-hook" | "ensure-image" | "start" | "restart") {
                    self.line(Style::Busy, "started", &text);
                }
                self.note(|running| running.push(Running { companion, action, text }));
            }
            EventKind::Done => self.ended(event, Style::Good, "done", &format!("{text}{took}")),
            EventKind::Failed => self.ended(event, Style::Bad, "failed", &text),
            EventKind::NotNeeded | EventKind::Skipped => self.forget(event),
            EventKind::State | EventKind::Leader => {}
        }
    }

    fn ended(&self, event: &EventRecord, style: Style, label: &str, text: &str) {
        self.forget(event);
        self.line(style, label, text);
    }

    fn forget(&self, event: &EventRecord) {
        self.note(|running| {
            running.retain(|one| one.companion != event.companion || one.action != event.action);
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.bar.is_some() {
            clear();
        }
    }
}
