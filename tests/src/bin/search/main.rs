//! Runs the exhaustive searches and prints their results.
//!
//! Without an option: the searches of every commit. `--deep`: wider ones, and every pair of the tables followed to
//! its end (release build). `--bounds <companions> <faults> <intents> [<leaders with other inputs>] [inside]
//! [slow]`: one search within the given bounds.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use companion_tests::search::breadth::{Bounds, COMMIT, DEEP, Recorded, search};
use companion_tests::search::tables::{Start, Table, pairs, singles};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = io::stdout().lock();
    let good = match arguments.first().map(String::as_str) {
        None => searches(&mut out, COMMIT).and_then(|good| Ok(tables(&mut out, false)? && good)),
        Some("--deep") => {
            searches(&mut out, DEEP).and_then(|good| Ok(tables(&mut out, true)? && good))
        }
        Some("--bounds") => {
            let own = Recorded { bounds: own(&arguments), states: 0, converges: u8::MAX };
            searches(&mut out, &[own])
        }
        Some(other) => writeln!(out, "unknown option `{other}`").map(|()| false),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// Parses the bounds from the arguments.
fn own(arguments: &[String]) -> Bounds {
    let number = |at: usize, or| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(or);
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let bounds = Bounds::of(number(1, 1).into(), number(2, 1), number(3, 1));
    let outside = if has("inside") { &[] } else { bounds.outside };
    Bounds { hand_overs: number(4, 0), slow_services: has("slow"), outside, ..bounds }
}

fn searches(out: &mut impl Write, all: &[Recorded]) -> io::Result<bool> {
    let mut good = true;
    for recorded in all {
        let begin = Instant::now();
        let report = search(&recorded.bounds);
        let seconds = begin.elapsed().as_secs_f64();
        writeln!(out, "{}: {report}, {seconds:.1} s", recorded.bounds)?;
        for reached in &report.reached {
            writeln!(out, "  {reached}")?;
        }
        if let Err(wrong) = recorded.compare(&report) {
            good = false;
            writeln!(out, "BROKEN: {wrong}")?;
        }
    }
    Ok(good)
}

fn tables(out: &mut impl Write, follow: bool) -> io::Result<bool> {
    let mut good = true;
    let mut print = |what: &str, table: &Table, begin: Instant| {
        good &= table.wrong.is_none();
        let Table { starts, worst_converges, wrong, reached } = table;
        let seconds = begin.elapsed().as_secs_f64();
        writeln!(
            out,
            "{what}: {starts} starts, at most {worst_converges} converges, {seconds:.1} s"
        )?;
        for reached in reached {
            writeln!(out, "  {reached}")?;
        }
        wrong.iter().try_for_each(|wrong| writeln!(out, "BROKEN: {wrong}"))
    };
    for at in 0..2 {
        let begin = Instant::now();
        print("one companion", &singles(at), begin)?;
    }
    let begin = Instant::now();
    print("two companions", &pairs(&Start::classes(), follow), begin)?;
    Ok(good)
}
