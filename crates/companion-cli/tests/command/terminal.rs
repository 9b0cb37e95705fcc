//! The output on a terminal: a pseudo-terminal, and its final screen.

use std::fs::File;
use std::io::{self, Read as _};
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::bench::Bench;

/// Runs the program on a terminal of the type `term`, and returns all its output.
pub(crate) fn on_a_terminal(bench: &Bench, term: Option<&str>, arguments: &[&str]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let side = || Stdio::from(File::options().read(true).write(true).open(&name).unwrap());
    let mut command = bench.command(arguments);
    command.stdin(side()).stdout(side()).stderr(side());
    if let Some(term) = term {
        command.env("TERM", term);
    }
    let mut child = command.spawn().unwrap();
    // Close our copies of the other side, so that the read ends with the program.
    drop(command);
    let mut written = Vec::new();
    let end = File::from(terminal).read_to_end(&mut written);
    assert!(end.is_ok() || end.unwrap_err().kind() != io::ErrorKind::Interrupted);
    child.wait().unwrap();
    String::from_utf8(written).unwrap()
}

/// The width of a terminal that does not know its own; a longer line continues in the next one.
const WIDTH: usize = 80;

/// The final lines of the screen; it supports the control sequences of the spinner.
fn screen(written: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['), "a control sequence");
                let mut number = String::new();
                let last = loop {
                    match chars.next().unwrap() {
                        letter if letter.is_ascii_alphabetic() => break letter,
                        other => number.push(other),
                    }
                };
                match last {
                    'A' => row -= number.parse::<usize>().unwrap_or(1),
                    'B' => row += number.parse::<usize>().unwrap_or(1),
                    'K' if number == "2" => lines[row].clear(),
                    'K' => lines[row].truncate(column),
                    'm' => {}
                    other => panic!("unknown control sequence: {number}{other}"),
                }
            }
            c => {
                if column == WIDTH {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), Vec::new());
                }
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    let lines = lines.into_iter().map(|line| line.into_iter().collect::<String>());
    lines.map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

const INSTALL: [&str; 5] = ["--host", "sim", "install", "electrs", "lnd"];

/// Asserts the lines that remain on each kind of terminal.
fn has_all_lines(screen: &[String], lines: &[&str]) {
    let begins = |beginning: &str| screen.iter().any(|line| line.starts_with(beginning));
    for line in lines {
        assert!(begins(line), "{line}: {screen:#?}");
    }
    assert_eq!(screen.last().unwrap(), "archy-lnd-ui      ready");
}

#[test]
fn capable_terminal_keeps_no_spinner_line() {
    let written = on_a_terminal(&Bench::new(), Some("xterm"), &INSTALL);
    assert!(written.contains("\u{1b}[32mready"), "it is coloured: {written:?}");
    let frames = ["⠁", "⠂", "⠄", "⡀", "⢀", "⠠", "⠐", "⠈"];
    assert!(
        frames.iter().any(|frame| written.contains(frame)),
        "the spinner is shown: {written:?}"
    );
    for row in ["archy-lnd-ui  ensure-image: ", "archy-electrs-ui  ensure-image: "] {
        assert!(written.contains(row), "each companion has a row: {written:?}");
    }
    let screen = screen(&written);
    assert!(!frames.iter().any(|frame| screen.concat().contains(frame)), "{screen:#?}");
    has_all_lines(&screen, &["note: ", "done ensure-image archy-lnd-ui"]);
}

#[test]
fn dumb_terminal_gets_plain_lines() {
    for term in [None, Some("dumb"), Some("")] {
        let written = on_a_terminal(&Bench::new(), term, &INSTALL);
        assert!(!written.contains('\u{1b}'), "{term:?}: {written:?}");
        let started = "started ensure-image archy-lnd-ui";
        has_all_lines(&screen(&written), &["note: ", started, "done ensure-image archy-lnd-ui"]);
    }
}

#[test]
fn a_verbose_command_prints_each_step_once() {
    for verbosity in ["-v", "-vv", "-vvv"] {
        let ran = Bench::new().sim(&[verbosity, "install", "lnd"]);
        let step = "write-unit archy-lnd-ui: unit file is missing";
        let lines: Vec<_> = ran.stderr.lines().filter(|line| line.contains(step)).collect();
        assert_eq!(lines, [format!("done {step}")]);
    }
}
