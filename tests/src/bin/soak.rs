//! Lets a supervisor work for a virtual year, with something happening every virtual hour; with
//! numbers, for so many hours, and with another seed.
//!
//! It prints how long everything took to be mended, what memory it needed, and every finding; it
//! fails when there is one.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what was measured is its output")]

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use companion_tests::soak::soak;

/// The hours of 365 days.
const YEAR: u64 = 8760;

fn main() -> ExitCode {
    let numbers: Result<Vec<u64>, _> = env::args().skip(1).map(|number| number.parse()).collect();
    let Ok(numbers) = numbers else {
        eprintln!("usage: soak [HOURS [SEED]]");
        return ExitCode::from(2);
    };
    let hours = numbers.first().copied().unwrap_or(YEAR);
    let seed = numbers.get(1).copied().unwrap_or(1);
    let begun = Instant::now();
    match soak(seed, hours) {
        Ok(report) => {
            print!("{report}");
            println!("{:.1} s", begun.elapsed().as_secs_f64());
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
