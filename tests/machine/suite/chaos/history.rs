//! What happened, as JSON lines: written while it happens, judged and told afterwards by others.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::Instant;

use serde_json::{Value, json};

/// A history that is being written.
#[derive(Debug)]
pub(super) struct History {
    file: File,
    begun: Instant,
}

impl History {
    /// A new one in the file at `path`.
    pub(super) fn begin(path: &str) -> Self {
        let _none = std::fs::remove_file(path);
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        Self { file, begun: Instant::now() }
    }

    /// Seconds since its beginning.
    pub(super) fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Writes that `event` happened now, with what is to be said of it (an object).
    pub(super) fn note(&mut self, event: &str, mut what: Value) {
        what["at"] = json!(self.now());
        what["event"] = json!(event);
        writeln!(self.file, "{what}").unwrap();
    }
}

/// Reads a history back.
pub(super) fn read(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
