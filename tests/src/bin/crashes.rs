//! Tries every crash of every workload, every second crash of every recovery, and every third; with
//! numbers, up to so many crashes in a row, and only workloads whose name has this part.
//!
//! It prints what was tried by workload, and every finding; it fails when there is one.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what was tried is its output")]

use std::env;
use std::process::ExitCode;

use companion_tests::crashes::explore;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let depth = match arguments.next().map(|number| number.parse()) {
        None => 3,
        Some(Ok(depth)) => depth,
        Some(Err(_)) => {
            eprintln!("usage: crashes [CRASHES IN A ROW [PART OF A WORKLOAD'S NAME]]");
            return ExitCode::from(2);
        }
    };
    match explore(depth, &arguments.next().unwrap_or_default()) {
        Ok(report) => {
            print!("{report}");
            for finding in &report.findings {
                println!("\n{finding}");
            }
            if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}
