//! Runs a supervisor for a virtual year with one event per virtual hour. Optional arguments: the number of hours, the
//! seed.
//!
//! Prints recovery times, memory use and every finding; fails on a finding.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the measurements are its output")]

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use companion_tests::soak::soak;

/// Hours in 365 days.
const YEAR: u64 = 8760;

fn main() -> ExitCode {
    let numbers: Result<Vec<u64>, _> = env::args().skip(1).map(|number| number.parse()).collect();
    let Ok(numbers) = numbers else {
        eprintln!("usage: soak [HOURS [SEED]]");
        return ExitCode::from(2);
    };
    let hours = numbers.first().copied().unwrap_or(YEAR);
    let seed = numbers.get(1).copied().unwrap_or(1);
    let started = Instant::now();
    match soak(seed, hours) {
        Ok(report) => {
            print!("{report}");
            println!("{:.1} s", started.elapsed().as_secs_f64());
            for finding in &report.findings {
                println!("{finding}");
            }
            if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}
