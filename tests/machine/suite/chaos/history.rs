//! The history as JSON lines: written during the run, checked and reported afterwards.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::Instant;

use serde_json::{Value, json};

/// A history in progress.
#[derive(Debug)]
pub(super) struct History {
    file: File,
    started: Instant,
}

impl History {
    /// A new history in the file at `path`.
    pub(super) fn begin(path: &str) -> Self {
        let _none = std::fs::remove_file(path);
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        Self { file, started: Instant::now() }
    }

    /// Seconds since its start.
    pub(super) fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Writes that `event` happened now, with its fields (an object).
    pub(super) fn note(&mut self, event: &str, mut what: Value) {
        what["at"] = json!(self.now());
        what["event"] = json!(event);
        writeln!(self.file, "{what}").unwrap();
    }
}

/// Reads a history.
pub(super) fn read(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
