//! Tests every crash of every workload, every second crash of every recovery, and every third one.
//!
//! Usage: `crashes [DEPTH [NAME]]` limits the number of consecutive crashes and selects workloads whose name contains
//! NAME. Prints the counts of each workload and every finding; fails on a finding.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is its output")]

use std::env;
use std::process::ExitCode;

use companion_tests::crashes::explore;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let depth = match arguments.next().map(|number| number.parse()) {
        None => 3,
        Some(Ok(depth)) => depth,
        Some(Err(_)) => {
            eprintln!("usage: crashes [DEPTH [NAME]]");
            return ExitCode::from(2);
        }
    };
    let report = explore(depth, &arguments.next().unwrap_or_default());
    print!("{report}");
    for finding in &report.findings {
        println!("\n{finding}");
    }
    if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
