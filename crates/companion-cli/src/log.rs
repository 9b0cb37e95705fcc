//! The log: lines on stderr, formatted for the journal or a terminal, with a level filter.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use crate::arguments::GlobalArguments;
use crate::output;

/// Sets up the log for the process.
pub(crate) fn init(global: &GlobalArguments, daemon: bool) {
    let to_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let form =
        Form { priority: to_journal && is_journal(std::io::stderr()), time: daemon && !to_journal };
    let chosen = std::env::var("COMPANION_LOG").ok();
    let filter = chosen
        .as_deref()
        .and_then(|text| text.parse::<Targets>().ok())
        .unwrap_or_else(|| usual(global.verbose, daemon));
    let lines = tracing_subscriber::fmt::layer().event_format(form).with_writer(|| Stderr);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    // Called once, at the start of `main`.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// The default filter.
///
/// A command prints each step and its failure itself, so its log omits them.
fn usual(verbose: u8, daemon: bool) -> Targets {
    let level = match verbose + u8::from(daemon) {
        0 => {
            return Targets::new()
                .with_default(Level::WARN)
                .with_target("companion_core", Level::ERROR)
                // The result names the cause of a failed build.
                .with_target("image_source", Level::ERROR);
        }
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    // The bus library logs every message at these levels.
    let targets = Targets::new().with_default(level).with_target("zbus", level.min(Level::INFO));
    match daemon {
        true => targets,
        false => targets.with_target(STEPS, Level::ERROR),
    }
}

/// The log target of the steps of a plan.
const STEPS: &str = "companion_core::reconciler::execute";

/// stderr, printed above the rows of the progress.
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        output::progress::above_the_rows(|| anstream::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Returns whether systemd connected `stream` to the journal (systemd.exec(5)).
fn is_journal(stream: impl AsFd) -> bool {
    let Ok(variable) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(stream)
        .is_ok_and(|found| variable == format!("{}:{}", found.st_dev, found.st_ino))
}

/// The format of a line.
struct Form {
    /// Starts with the priority prefix for the journal (sd-daemon(3)).
    priority: bool,
    /// Starts with the time.
    time: bool,
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (priority, word, colour) = match *event.metadata().level() {
            Level::ERROR => (3, "error", "31"),
            Level::WARN => (4, "warning", "33"),
            Level::INFO => (6, "info", "36"),
            Level::DEBUG => (7, "debug", "2"),
            Level::TRACE => (7, "trace", "2"),
        };
        if self.priority {
            write!(writer, "<{priority}>")?;
        }
        if self.time {
            SystemTime.format_time(&mut writer)?;
            writer.write_char(' ')?;
        }
        if !self.priority {
            write!(writer, "\u{1b}[{colour}m{word}\u{1b}[0m: ")?;
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
