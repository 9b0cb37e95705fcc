//! What a pass does while it does it, on stderr: a moving line on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::observed::Work;
use companion_core::plan::Step;
use companion_core::reconciler::{Event, EventSink, Outcome};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Style, styled};

/// Shows events.
pub(crate) struct Progress {
    colour: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows on stderr.
    pub(super) fn new(colour: bool) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { colour, bar }
    }

    fn show(&self, style: Style, mark: &str, text: &str) {
        let line = format!("{} {text}", styled(self.colour, style, mark));
        match &self.bar {
            Some(bar) => bar.println(line),
            // A log that nobody can take is no reason to stop.
            None => {
                let _ = writeln!(io::stderr().lock(), "{line}");
            }
        }
    }

    fn ended(&self, step: &Step, outcome: &Outcome) {
        match outcome {
            Outcome::Done => self.show(Style::Good, "done", &step.to_string()),
            Outcome::Begun => self.show(Style::Busy, "begun", &step.to_string()),
            Outcome::Failed { error, .. } => {
                self.show(Style::Bad, "failed", &format!("{step}: {error}"));
            }
            Outcome::NotNeeded | Outcome::Skipped => {}
        }
    }

    fn work_ended(&self, companion: &CompanionName, work: Work, error: Option<&str>) {
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
}

impl EventSink for Progress {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::StepBegun(step) => {
                if let Some(bar) = &self.bar {
                    bar.set_message(step.to_string());
                }
            }
            Event::StepEnded(step, outcome) => self.ended(step, outcome),
            Event::WorkEnded(companion, work, error) => self.work_ended(companion, *work, *error),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
