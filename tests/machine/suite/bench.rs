//! Measurements side by side: ours, the replaced algorithm, the floor and other tools, on the same units in the same
//! run. Nothing is asserted about a time. `../bench` prints the table that this leaves in `/var/lib/bench.md`.
//!
//! Most companions of a large fleet are stand-ins: a drop-in replaces `podman run` by `sleep`, and everything else of
//! them is real (the unit file, the generated and loaded unit, the service, its process and its environment).

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use crate::guest::number;

mod converged;
mod faults;
mod fleet;
mod idle;
mod install;
mod others;

/// The table, kept in a file from the first row on.
struct Table(String);

impl Table {
    fn begin() -> Self {
        Self("| measure | value |\n|---|---|\n".to_owned())
    }

    fn row(&mut self, measure: &str, value: &str) {
        println!("measured: {measure}: {value}");
        writeln!(self.0, "| {measure} | {value} |").unwrap();
        fs::write("/var/lib/bench.md", &self.0).unwrap();
    }
}

/// Durations of one measure.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    /// The results of `count` calls.
    fn of(count: usize, mut measure: impl FnMut() -> Duration) -> Self {
        Self((0..count).map(|_| measure()).collect())
    }

    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
    }

    fn median(&self) -> Duration {
        self.percentile(50)
    }
}

/// How long a call takes.
fn took(call: impl FnOnce()) -> Duration {
    let started = Instant::now();
    call();
    started.elapsed()
}

fn shown(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn ratio(large: Duration, small: Duration) -> String {
    format!("{:.1}", large.as_secs_f64() / small.as_secs_f64())
}

#[test]
fn side_by_side() {
    let mut table = Table::begin();
    let samples = usize::try_from(number("COMPANION_BENCH_SAMPLES", 20)).unwrap();
    let chosen = std::env::var("COMPANION_BENCH").unwrap_or_default();
    let is_chosen =
        |part: &str| chosen.is_empty() || chosen.split_whitespace().any(|word| part.contains(word));
    if is_chosen("command") {
        idle::command(&mut table, samples);
    }
    if is_chosen("converged") {
        converged::all(&mut table);
    }
    for count in [10, 45] {
        if is_chosen(&format!("faults-{count}")) {
            faults::all(&mut table, count, samples);
        }
    }
    if is_chosen("install") {
        install::all(&mut table);
    }
    if is_chosen("others") {
        others::all(&mut table);
    }
    if is_chosen("idle") {
        idle::daemon(&mut table);
    }
}
