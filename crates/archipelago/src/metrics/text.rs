//! The text of the metrics.

use std::fmt::Write as _;
use std::time::Duration;

use super::Counts;

/// A metric of the text: its name, its type and its help.
type Family = (&'static str, &'static str, &'static str);

/// Returns `counts` in the text format.
///
/// Labels need no escapes: names of companions, verbs and reasons are lowercase words with dashes.
pub(super) fn of(counts: &Counts) -> String {
    let mut text = Text::default();
    let version = env!("CARGO_PKG_VERSION");
    text.family(("companion_build_info", "gauge", "The version of the leader."));
    text.line(&format!("companion_build_info{{version=\"{version}\"}}"), "1");
    companions(&mut text, counts);
    steps(&mut text, counts);
    text.family(("companion_reconcile_seconds", "summary", "How long reconciles took."));
    text.line("companion_reconcile_seconds_sum", &seconds(counts.reconciles.total));
    text.line("companion_reconcile_seconds_count", &counts.reconciles.count.to_string());
    let help = "Reconciles that could not start.";
    text.family(("companion_reconcile_failures_total", "counter", help));
    text.line("companion_reconcile_failures_total", &counts.failed_reconciles.to_string());
    if let Some(at) = counts.last_success {
        let help = "When a reconcile last succeeded, as Unix time.";
        text.family(("companion_last_success_timestamp_seconds", "gauge", help));
        text.line("companion_last_success_timestamp_seconds", &seconds(at));
    }
    text.0
}

fn companions(text: &mut Text, counts: &Counts) {
    let mut each = |family: Family, value: &dyn Fn(&super::Companion) -> Option<String>| {
        text.family(family);
        for (name, companion) in &counts.companions {
            if let Some(value) = value(companion) {
                text.line(&format!("{}{{companion=\"{name}\"}}", family.0), &value);
            }
        }
    };
    let flag = |it: bool| Some(u8::from(it).to_string());
    let help = "Whether the service runs; absent if unknown.";
    each(("companion_up", "gauge", help), &|it| it.is_up.and_then(flag));
    each(("companion_ready", "gauge", "Whether it runs as desired."), &|it| flag(it.is_ready));
    let help = "Automatic restarts by the service manager since the last start.";
    each(("companion_restarts", "gauge", help), &|it| Some(it.restarts?.to_string()));
    let help = "Consecutive failures of work in back-off.";
    each(("companion_backoff_attempts", "gauge", help), &|it| Some(it.attempts.to_string()));
    let help = "How long the companion was not ready the last time that it became ready again.";
    let last = |it: &super::Companion| Some(seconds(it.repairs.last?));
    each(("companion_last_repair_seconds", "gauge", help), &last);
    let help = "How long the companion was not ready before it became ready again.";
    text.family(("companion_repair_seconds", "summary", help));
    for (name, companion) in &counts.companions {
        let line = |kind: &str| format!("companion_repair_seconds_{kind}{{companion=\"{name}\"}}");
        text.line(&line("sum"), &seconds(companion.repairs.total));
        text.line(&line("count"), &companion.repairs.count.to_string());
    }
}

fn steps(text: &mut Text, counts: &Counts) {
    text.family(("companion_steps_total", "counter", "Completed steps, by their reason."));
    for ((name, verb, reason), count) in &counts.steps {
        let labels = format!("companion=\"{name}\",step=\"{verb}\",reason=\"{reason}\"");
        text.line(&format!("companion_steps_total{{{labels}}}"), &count.to_string());
    }
    text.family(("companion_step_failures_total", "counter", "Failed steps."));
    for ((name, verb), count) in &counts.failures {
        let labels = format!("companion=\"{name}\",step=\"{verb}\"");
        text.line(&format!("companion_step_failures_total{{{labels}}}"), &count.to_string());
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, (name, kind, help): Family) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, series: &str, value: &str) {
        let _ = writeln!(self.0, "{series} {value}");
    }
}
