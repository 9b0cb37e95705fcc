//! The steps of a command while it runs, on stderr: a moving line below them on a terminal that can
//! show one, plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::observed::Work;
use companion_core::plan::Step;
use companion_core::reconciler::{Event, EventSink, Outcome};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Style, styled};

/// The moving line that is on the terminal, of which there is one at most.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Does `print` with the moving line out of the way.
pub(crate) fn above_the_line<T>(print: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Takes the moving line off the terminal for good.
pub(super) fn clear() {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = shown {
        bar.finish_and_clear();
    }
}

/// Whether stderr is a terminal on which a line can be drawn over.
fn can_draw() -> bool {
    io::stderr().is_terminal() && super::is_capable(std::env::var_os("TERM").as_deref())
}

/// Shows events.
pub(crate) struct Progress {
    colour: bool,
    bar: Option<ProgressBar>,
    /// What is under way, in the order it started.
    running: Mutex<Vec<Running>>,
}

/// A step that has not ended.
struct Running {
    companion: Option<CompanionName>,
    work: Work,
    text: String,
}

impl Progress {
    /// Shows on stderr.
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

    fn show(&self, style: Style, mark: &str, text: &str) {
        let line = format!("{} {text}", styled(self.colour, style, mark));
        // A log that nobody can take is no reason to stop.
        above_the_line(|| {
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }

    /// Changes the list of what is under way, and shows the first of it.
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

    fn started(&self, step: &Step) {
        self.note(|running| {
            let (companion, work) = (step.companion.clone(), step.work);
            running.push(Running { companion, work, text: step.to_string() });
        });
    }

    fn step_ended(&self, step: &Step, outcome: &Outcome) {
        if *outcome != Outcome::Begun {
            self.forget(step.companion.as_ref(), step.work);
        }
        match outcome {
            Outcome::Done => self.show(Style::Good, "done", &step.to_string()),
            Outcome::Begun => self.show(Style::Busy, "started", &step.to_string()),
            Outcome::Failed { error, .. } => {
                self.show(Style::Bad, "failed", &format!("{step}: {error}"));
            }
            Outcome::NotNeeded | Outcome::Skipped => {}
        }
    }

    fn work_ended(&self, companion: &CompanionName, work: Work, error: Option<&str>) {
        self.forget(Some(companion), work);
        let work = match work {
            Work::Hook => "configuration",
            Work::Image => "image",
            Work::Unit => "unit",
            Work::Load => "loading",
            Work::Service => "service",
            Work::Removal => "removal",
            Work::Prune => "removal of old images",
        };
        match error {
            None => self.show(Style::Good, "done", &format!("{work} of {companion}")),
            Some(error) => {
                self.show(Style::Bad, "failed", &format!("{work} of {companion}: {error}"));
            }
        }
    }

    fn forget(&self, companion: Option<&CompanionName>, work: Work) {
        self.note(|running| {
            running.retain(|one| one.companion.as_ref() != companion || one.work != work);
        });
    }
}

impl EventSink for Progress {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::StepBegun(step) => self.started(step),
            Event::StepEnded(step, outcome) => self.step_ended(step, outcome),
            Event::WorkEnded(companion, work, error) => self.work_ended(companion, *work, *error),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.bar.is_some() {
            clear();
        }
    }
}
