//! Renders a history as a Markdown report.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::faults::without_counterpart;
use super::oracle::{HOST, faults, violations};

/// Recoveries in seconds, sorted when reported.
#[derive(Debug, Default)]
struct Recoveries(Vec<f64>);

impl Recoveries {
    /// The value below which `share` of them are (nearest rank).
    fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil().max(1.0) as usize;
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    fn row(&mut self, name: &str) -> String {
        self.0.sort_by(f64::total_cmp);
        let [median, late, worst] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        format!("| {name} | {} | {median:.1} | {late:.1} | {worst:.1} |\n", self.0.len())
    }
}

/// The report.
pub(super) fn markdown(history: &[Value], seed: u64) -> String {
    let (mut companions, mut host) = (Recoveries::default(), Recoveries::default());
    let mut by_kind = BTreeMap::<String, Recoveries>::new();
    let (done, fizzled): (Vec<_>, Vec<_>) =
        faults(history).into_values().partition(|fault| !fault.fizzled);
    let count_of_faults = done.len();
    for fault in done {
        let Some(seconds) = fault.recovery() else { continue };
        // Faults that affect no companion recover almost immediately, and would distort the rest.
        let of_this = if fault.whom == HOST { &mut host } else { &mut companions };
        of_this.0.push(seconds);
        by_kind.entry(fault.kind).or_default().0.push(seconds);
    }
    let count = |event: &str| history.iter().filter(|entry| entry["event"] == event).count();
    let seconds = history.last().and_then(|end| end["at"].as_f64()).unwrap_or_default();
    let mut text = format!(
        "Seed {seed}, {:.0} min, {} faults of {} kinds done, {} recovered from, {} without a target, {} ends of runs.\n\n",
        seconds / 60.0,
        count_of_faults,
        by_kind.len(),
        companions.0.len() + host.0.len(),
        fizzled.len(),
        count("run"),
    );
    text.push_str("| fault | times | p50 s | p99 s | worst s |\n|---|---|---|---|---|\n");
    let total = companions.row("**of companions**") + &host.row("**of the host alone**");
    let rows: String = by_kind.iter_mut().map(|(kind, times)| times.row(kind)).collect();
    text.push_str(&format!("{total}{rows}\n"));
    daemons(history, &mut text);
    text.push_str("\n| fault without a counterpart in this run | because it |\n|---|---|\n");
    for (fault, reason) in without_counterpart() {
        text.push_str(&format!("| {fault} | {reason} |\n"));
    }
    let wrong = violations(history);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\nViolations: {}", wrong.len());
    wrong.iter().for_each(|one| text.push_str(&format!("- {one}\n")));
    text
}

/// The daemon's memory at its start, at its end, and at most.
fn daemons(history: &[Value], text: &mut String) {
    let samples: Vec<_> = history.iter().filter(|entry| entry["event"] == "daemon").collect();
    let mut by_pid = BTreeMap::<u64, Vec<&Value>>::new();
    for sample in &samples {
        by_pid.entry(sample["pid"].as_u64().unwrap_or_default()).or_default().push(sample);
    }
    let longest = by_pid.values().max_by_key(|samples| samples.len());
    let shown = |sample: Option<&&Value>| {
        sample.map_or_else(String::new, |sample| {
            format!(
                "{} KiB, {} files, {} threads",
                sample["rss"], sample["files"], sample["threads"]
            )
        })
    };
    let most = |field: &str| samples.iter().filter_map(|s| s[field].as_u64()).max().unwrap_or(0);
    text.push_str("| daemon | resident, files open, threads |\n|---|---|\n");
    text.push_str(&format!("| first sample | {} |\n", shown(samples.first())));
    text.push_str(&format!("| last sample | {} |\n", shown(samples.last())));
    if let Some(lived) = longest {
        let at = |sample: Option<&&Value>| sample.and_then(|s| s["at"].as_f64()).unwrap_or(0.0);
        let age = at(lived.last()) - at(lived.first());
        let (first, last) = (shown(lived.first()), shown(lived.last()));
        text.push_str(&format!("| the longest-lived ({age:.0} s), first | {first} |\n"));
        text.push_str(&format!("| the longest-lived, last | {last} |\n"));
    }
    let [rss, files, threads] = ["rss", "files", "threads"].map(most);
    text.push_str(&format!("| most | {rss} KiB, {files} files, {threads} threads |\n"));
    text.push_str(&format!("| daemons seen | {} |\n", by_pid.len()));
}
