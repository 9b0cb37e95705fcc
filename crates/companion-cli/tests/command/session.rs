//! The recorded session of README and book: `companion demo` on a terminal, as an asciicast and as an animated picture.
//!
//! `.ci/run session` writes both; the test fails when the command prints something else by now.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use crate::bench::Bench;
use crate::terminal::on_a_terminal;

/// The size of the terminal, in characters.
const COLUMNS: usize = 98;
const ROWS: usize = 30;

/// Seconds: before the command, from line to line, after each fault, and at the end. The demo itself takes less than one.
const PROMPT: f64 = 1.0;
const LINE: f64 = 0.08;
const PAUSE: f64 = 1.2;
const END: f64 = 8.0;

/// The lines of the session, each with the second in which it appears.
fn session() -> Vec<(f64, String)> {
    let written = on_a_terminal(&Bench::new(), Some("xterm"), &["demo"]);
    let (written, duration) = written.trim_end().rsplit_once(" in ").unwrap();
    assert!(duration.ends_with(" s"), "only this differs from run to run: {duration}");
    let (mut at, mut lines) = (PROMPT, vec![(0.0, "$ companion demo".to_owned())]);
    for line in written.split("\r\n") {
        lines.push((at, line.to_owned()));
        at += if line.is_empty() { PAUSE } else { LINE };
    }
    lines
}

/// The form of asciinema, version 2.
fn cast(lines: &[(f64, String)]) -> String {
    let header = json!({
        "version": 2,
        "width": COLUMNS,
        "height": ROWS,
        "title": "companion demo",
    });
    let events = lines.iter().map(|(at, line)| {
        json!([(at * 100.0).round() / 100.0, "o", format!("{line}\r\n")]).to_string()
    });
    [header.to_string()].into_iter().chain(events).map(|line| line + "\n").collect()
}

/// A line as `tspan`s: bold and green are the styles of the demo.
fn spans(line: &str) -> String {
    let line = line.replace('&', "&amp;").replace('<', "&lt;");
    let line =
        line.replace("\u{1b}[1m", "<tspan class='b'>").replace("\u{1b}[32m", "<tspan class='g'>");
    let line = line.replace("\u{1b}[0m", "</tspan>");
    assert!(!line.contains('\u{1b}'), "an unknown style: {line:?}");
    line
}

/// A picture whose lines scroll up as they appear; where nothing moves, it shows the last ones.
fn picture(lines: &[(f64, String)]) -> String {
    let (line_height, width, height) = (17, COLUMNS * 8, ROWS * 17 + 5);
    let length = lines.last().unwrap().0 + END;
    let shift = |shown: usize| (ROWS as i64 - shown as i64) * line_height;
    let (mut text, mut frames) = (String::new(), String::new());
    for (number, (at, line)) in lines.iter().enumerate() {
        let shown = number + 1;
        if !line.is_empty() {
            let y = line_height * shown as i64;
            writeln!(text, "<text x='8' y='{y}'>{}</text>", spans(line)).unwrap();
        }
        let percent = at / length * 100.0;
        writeln!(frames, "{percent:.2}% {{ transform: translateY({}px) }}", shift(shown)).unwrap();
    }
    let last = shift(lines.len());
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img' \
         aria-label='companion demo: each fault, and how it is repaired'>\n<style>\n\
         text {{ font: 13px ui-monospace, 'DejaVu Sans Mono', monospace; fill: #d8dee9; white-space: pre }}\n\
         .b {{ font-weight: bold; fill: #fff }}\n.g {{ fill: #7ec77e }}\n\
         g {{ transform: translateY({last}px); animation: scroll {length:.1}s step-end infinite }}\n\
         @media (prefers-reduced-motion: reduce) {{ g {{ animation: none }} }}\n\
         @keyframes scroll {{\n{frames}100% {{ transform: translateY({last}px) }}\n}}\n</style>\n\
         <rect width='100%' height='100%' rx='6' fill='#20242c'/>\n<g>\n{text}</g>\n</svg>\n"
    )
}

#[test]
fn recorded_session_is_what_the_demo_prints() {
    let lines = session();
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src");
    for (name, text) in [("session.cast", cast(&lines)), ("session.svg", picture(&lines))] {
        let path = book.join(name);
        if std::env::var_os("UPDATE_SESSION").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let recorded = std::fs::read_to_string(&path).unwrap();
        assert!(recorded == text, "{name} is out of date: .ci/run session");
    }
}
