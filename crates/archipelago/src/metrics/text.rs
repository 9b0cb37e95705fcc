//! The text of the metrics.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::{Companion, Counts};

/// A metric of each companion: its name, its help, and its value.
type Gauge = (&'static str, &'static str, fn(&Companion) -> Option<String>);

const GAUGES: [Gauge; 5] = [
    ("companion_up", "Whether the service runs; absent if unknown.", |it| {
        it.is_up.map(|it| u8::from(it).to_string())
    }),
    ("companion_ready", "Whether it runs as desired.", |it| {
        Some(u8::from(it.is_ready).to_string())
    }),
    (
        "companion_restarts",
        "Automatic restarts by the service manager since the last start.",
        |it| it.restarts.map(|it| it.to_string()),
    ),
    ("companion_backoff_attempts", "Consecutive failures of work in back-off.", |it| {
        Some(it.attempts.to_string())
    }),
    (
        "companion_last_repair_seconds",
        "How long the companion was not ready the last time that it became ready again.",
        |it| it.repairs.last.map(seconds),
    ),
];

/// Returns `counts` in the text format.
///
/// Labels need no escapes: names of companions, verbs and reasons are lowercase words with dashes.
pub(super) fn of(counts: &Counts) -> String {
    let mut text = Text::default();
    let version = env!("CARGO_PKG_VERSION");
    text.family("companion_build_info", "gauge", "The version of the leader.");
    text.line(format_args!("companion_build_info{{version=\"{version}\"}}"), 1);
    for (metric, help, value) in GAUGES {
        text.family(metric, "gauge", help);
        for (name, companion) in &counts.companions {
            if let Some(value) = value(companion) {
                text.line(format_args!("{metric}{{companion=\"{name}\"}}"), value);
            }
        }
    }
    let help = "How long the companion was not ready before it became ready again.";
    text.family("companion_repair_seconds", "summary", help);
    for (name, Companion { repairs, .. }) in &counts.companions {
        let line = |kind| format!("companion_repair_seconds_{kind}{{companion=\"{name}\"}}");
        text.line(line("sum"), seconds(repairs.total));
        text.line(line("count"), repairs.count);
    }
    text.family("companion_steps_total", "counter", "Completed steps, by their reason.");
    for ((name, verb, reason), count) in &counts.steps {
        let labels = format!("companion=\"{name}\",step=\"{verb}\",reason=\"{reason}\"");
        text.line(format_args!("companion_steps_total{{{labels}}}"), count);
    }
    text.family("companion_step_failures_total", "counter", "Failed steps.");
    for ((name, verb), count) in &counts.failures {
        let labels = format!("companion=\"{name}\",step=\"{verb}\"");
        text.line(format_args!("companion_step_failures_total{{{labels}}}"), count);
    }
    text.family("companion_reconcile_seconds", "summary", "How long reconciles took.");
    text.line("companion_reconcile_seconds_sum", seconds(counts.reconciles.total));
    text.line("companion_reconcile_seconds_count", counts.reconciles.count);
    let failures = "companion_reconcile_failures_total";
    text.family(failures, "counter", "Reconciles that could not start.");
    text.line(failures, counts.failed_reconciles);
    if let Some(at) = counts.last_success {
        let last = "companion_last_success_timestamp_seconds";
        text.family(last, "gauge", "When a reconcile last succeeded, as Unix time.");
        text.line(last, seconds(at));
    }
    text.0
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, series: impl Display, value: impl Display) {
        let _ = writeln!(self.0, "{series} {value}");
    }
}
