//! `companion demo`: the life cycle of three companions on the simulated host.
//!
//! Runs the planner, reconciler and supervisor of the daemon on a strict simulated host with virtual time
//! (tokio's paused clock, from its `test-util` feature). The results are read from the host; a missing repair
//! fails the demo.

use std::time::{Duration, Instant};

use adapter_fake::Counts;
use clap::Args;
use serde_json::{Value, json};

use super::report::VERSION;
use crate::error::{CommandResult, Verdict};
use crate::output::words::{span, tenths};
use crate::output::{Output, Style, Table};

mod scenarios;
mod simulation;

use simulation::{Repair, Simulation};

/// Run an end-to-end demo of three companions on a simulated host, in seconds
///
/// Installs three apps and then injects the faults that happen in practice: the manager crashes, a
/// container is killed, units are deleted and edited, a password is rotated, a Dockerfile changes, the
/// registry is down, the power fails, an app is removed. For each it shows the steps taken and their
/// reasons, the virtual seconds until everything was repaired (detected only by the 30 s resync), and
/// the cost. It needs nothing from this machine and changes nothing on it.
///
/// With --json: {"version": 1, "ok": bool, "repairs": [{"title", "happened", "steps": [{"after",
/// "step"}], "true_after", "promise", "kept", "writes", "reloads", "starts", "restarts", "builds",
/// "network"}], "violations", "virtual_seconds"}; times are in seconds, "true_after" is null if
/// the repair did not complete.
///
/// Exit status: 0 if everything was repaired as promised, otherwise 1.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion demo                                 break and repair companions in memory")]
pub(crate) struct Arguments {}

/// Runs all scenarios of the demo.
pub(crate) async fn run(output: &Output) -> CommandResult {
    let start = Instant::now();
    if !output.is_json() {
        output.line("Three companions on a simulated host with virtual time. The manager gets no");
        output.line("events: its 30 s resync detects each fault.");
    }
    let mut simulation = Simulation::new()?;
    let mut repairs = Vec::new();
    for scenario in &scenarios::SCENARIOS {
        let repair = simulation.run(scenario).await;
        if !output.is_json() {
            print_repair(&repair, repairs.len() + 1, output);
        }
        repairs.push(repair);
    }
    simulation.manager_ends().await;
    let violations = simulation.host.violations().len();
    let time = simulation.host.now().as_secs();
    let ok = violations == 0 && repairs.iter().all(Repair::is_good);
    if output.is_json() {
        output.json(&json!({
            "version": VERSION,
            "ok": ok,
            "repairs": repairs.iter().map(as_json).collect::<Vec<_>>(),
            "violations": violations,
            "virtual_seconds": time,
        }));
        return Ok(Verdict::of(ok));
    }
    let mut table = Table::default();
    let heading = ["scenario", "repaired after"].into_iter();
    let heading = heading.chain(columns(&Counts::default()).map(|(word, _)| word));
    table.row(heading.map(str::to_owned).collect::<Vec<_>>());
    for repair in &repairs {
        let after = repair.true_after.map_or("never".to_owned(), tenths);
        let flag = if repair.is_good() { "" } else { " (!)" };
        let mut row = vec![format!("{}{flag}", repair.scenario.title), after];
        row.extend(columns(&repair.counts).map(|(_, count)| count.to_string()));
        table.row(row);
    }
    output.line("");
    table.lines().iter().for_each(|line| output.line(line));
    let repaired = repairs.iter().filter(|repair| repair.is_good()).count();
    output.line(format!(
        "\n{repaired} of {} repaired as promised; {violations} violation(s) of host rules; {} of virtual \
         time in {}",
        repairs.len(),
        span(time),
        tenths(start.elapsed()),
    ));
    Ok(Verdict::of(ok))
}

fn print_repair(repair: &Repair, number: usize, output: &Output) {
    let title = Style::Strong.paint(&format!("{number}. {}", repair.scenario.title));
    output.line(format!("\n{title}"));
    output.line(format!("   {}", repair.scenario.happened));
    for (after, step) in &repair.steps {
        output.line(format!("   {:>9}  {step}", format!("+{}", tenths(*after))));
    }
    if repair.steps.is_empty() {
        output.line("              (nothing to do)");
    }
    let promise = repair.scenario.promise;
    output.line(match repair.true_after {
        None => {
            let rest = repair.mismatch.as_deref().unwrap_or("unknown");
            format!("   {} {rest}", Style::Bad.paint("not repaired:"))
        }
        Some(after) => {
            let repaired = match after {
                Duration::ZERO => "no interruption".to_owned(),
                after => format!("repaired after {}", tenths(after)),
            };
            match repair.is_kept() {
                true => format!("   {}, {promise}", Style::Good.paint(&repaired)),
                false => {
                    let broken = Style::Bad.paint("but it broke its promise:");
                    format!("   {repaired}, {broken} {promise}")
                }
            }
        }
    });
}

/// The counters of a scenario, with their labels.
fn columns(counts: &Counts) -> [(&'static str, u32); 6] {
    [
        ("writes", counts.unit_writes),
        ("reloads", counts.reloads),
        ("starts", counts.starts),
        ("restarts", counts.restarts),
        ("builds", counts.builds),
        ("network", counts.network),
    ]
}

fn as_json(repair: &Repair) -> Value {
    let step =
        |(after, step): &(Duration, String)| json!({ "after": after.as_secs_f64(), "step": step });
    let mut value = json!({
        "title": repair.scenario.title,
        "happened": repair.scenario.happened,
        "steps": repair.steps.iter().map(step).collect::<Vec<_>>(),
        "true_after": repair.true_after.map(|after| after.as_secs_f64()),
        "promise": repair.scenario.promise,
        "kept": repair.is_kept(),
    });
    for (word, count) in columns(&repair.counts) {
        value[word] = count.into();
    }
    value
}
