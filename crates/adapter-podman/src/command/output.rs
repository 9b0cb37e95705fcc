//! What a child prints, kept within bounds: the head of an answer, or the tail of a complaint.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line that is logged or shown, in characters.
const LINE_LIMIT: usize = 400;

/// How many of the last lines of stderr are shown.
const LINES_SHOWN: usize = 3;

/// Which part of a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The first so many bytes; more is remembered as too much.
    Head(usize),
    /// The last so many bytes, and each line logged at the level debug.
    Tail(usize),
}

/// A stream as far as it is kept.
#[derive(Debug)]
pub(crate) struct Capture {
    keep: Keep,
    bytes: Vec<u8>,
    overflowed: bool,
    line: Vec<u8>,
}

impl Capture {
    fn new(keep: Keep) -> Self {
        Self { keep, bytes: Vec::new(), overflowed: false, line: Vec::new() }
    }

    fn push(&mut self, chunk: &[u8]) {
        match self.keep {
            Keep::Head(limit) => {
                let room = limit.saturating_sub(self.bytes.len());
                self.overflowed |= chunk.len() > room;
                self.bytes.extend(chunk.iter().take(room));
            }
            Keep::Tail(limit) => {
                self.bytes.extend_from_slice(chunk);
                // Cut only at twice the limit: moving the tail for each chunk would be quadratic.
                if self.bytes.len() > limit.saturating_mul(2) {
                    self.bytes.drain(..self.bytes.len() - limit);
                }
                self.log(chunk);
            }
        }
    }

    fn log(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            if byte != b'\n' {
                if self.line.len() < LINE_LIMIT {
                    self.line.push(byte);
                }
            } else if !self.line.is_empty() {
                tracing::debug!(output = %shown(&String::from_utf8_lossy(&self.line)), "podman");
                self.line.clear();
            }
        }
    }
}

/// A stream that is being read, shared with the task that reads it.
#[derive(Debug, Clone)]
pub(crate) struct Stream(Arc<Mutex<Capture>>);

impl Stream {
    pub(crate) fn new(keep: Keep) -> Self {
        Self(Arc::new(Mutex::new(Capture::new(keep))))
    }

    /// Reads `pipe` to its end. What was read before the call is dropped stays captured.
    pub(crate) async fn drain(self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut chunk = [0_u8; 8192];
        // An error of the pipe ends the stream as its end does: what counts is the exit status.
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            self.push(chunk.get(..length).unwrap_or_default());
        }
    }

    /// Takes in what was read.
    pub(crate) fn push(&self, chunk: &[u8]) {
        self.lock().push(chunk);
    }

    /// What is kept, and whether it was more than that.
    pub(crate) fn take(&self) -> (Vec<u8>, bool) {
        let mut capture = self.lock();
        (std::mem::take(&mut capture.bytes), capture.overflowed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Capture> {
        // A capture is whole after every push, whatever became of the one who made it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last useful lines of what podman complained about, escaped, in one line.
///
/// Podman's own log lines (`time="…" level=…`) repeat what its last line says; they are shown only
/// when there is nothing else.
pub(crate) fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pick = |plain: bool| {
        let chosen = lines().filter(|line| !plain || !line.starts_with("time=\""));
        let mut last: Vec<String> = chosen.rev().take(LINES_SHOWN).map(shown).collect();
        last.reverse();
        last.join("; ")
    };
    let plain = pick(true);
    if plain.is_empty() { pick(false) } else { plain }
}

/// `text` in one line without control characters, cut to 400 characters.
pub(crate) fn shown(text: &str) -> String {
    let mut line = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LINE_LIMIT {
            line.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => line.push(c),
            _ => line.extend(c.escape_debug()),
        }
    }
    line
}

/// A path in one line without control characters: a file's name may hold any byte but two.
pub(crate) fn path_shown(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_kept_and_more_is_remembered_as_too_much() {
        let mut capture = Capture::new(Keep::Head(5));
        capture.push(b"abc");
        assert!(!capture.overflowed);
        capture.push(b"defg");
        assert_eq!((capture.bytes.as_slice(), capture.overflowed), (&b"abcde"[..], true));
    }

    #[test]
    fn the_tail_stays_within_twice_its_limit_however_much_is_printed() {
        let mut capture = Capture::new(Keep::Tail(64));
        for _ in 0..1000 {
            capture.push(b"0123456789");
            assert!(capture.bytes.len() <= 128);
        }
        capture.push(b"the end");
        assert!(capture.bytes.ends_with(b"the end"));
        assert!(capture.line.len() <= LINE_LIMIT);
    }

    #[test]
    fn podman_s_log_lines_give_way_to_its_last_words() {
        let stderr =
            b"time=\"x\" level=warning msg=\"Failed, retrying\"\noops\n\nError: it broke\n";
        assert_eq!(last_words(stderr), "oops; Error: it broke");
        assert_eq!(last_words(b"time=\"x\" only\n"), "time=\"x\" only");
        assert_eq!(last_words(b""), "");
    }

    #[test]
    fn control_characters_cannot_forge_a_line() {
        assert_eq!(shown("a\u{1b}[31m\r\"b\" \u{2028}"), "a\\u{1b}[31m\\r\"b\" \\u{2028}");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), LINE_LIMIT + 1);
    }
}
