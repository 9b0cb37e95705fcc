//! A child's output, bounded: the head of an answer, or the tail of stderr.

use std::sync::{Arc, Mutex, PoisonError};

use image_source::text::shown;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::secrets::Secrets;

/// How much of a line is searched for secrets before truncation, in bytes.
const LINE_BUFFER: usize = 4096;

/// How many of the last lines of stderr are shown.
const LINES_SHOWN: usize = 3;

/// The part of a stream to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The first bytes up to this number; an excess is recorded.
    Head(usize),
    /// The last bytes up to this number; each line is logged at level debug.
    Tail(usize),
}

/// The kept part of a stream.
#[derive(Debug)]
pub(crate) struct Capture {
    keep: Keep,
    secrets: Secrets,
    bytes: Vec<u8>,
    overflowed: bool,
    line: Vec<u8>,
    /// Whether the start of the line was lost.
    line_is_cut: bool,
}

impl Capture {
    fn new(keep: Keep, secrets: Secrets) -> Self {
        let (bytes, line) = (Vec::new(), Vec::new());
        Self { keep, secrets, bytes, overflowed: false, line, line_is_cut: false }
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
                // Truncate only at twice the limit: moving the tail for each chunk would be quadratic.
                if self.bytes.len() > limit.saturating_mul(2) {
                    self.bytes.drain(..self.bytes.len() - limit);
                    self.overflowed = true;
                }
                self.log(chunk);
            }
        }
    }

    /// Records a gap in the output: more than a tail was lost, so everything before it is dropped.
    fn gap(&mut self) {
        self.bytes.clear();
        self.line.clear();
        self.overflowed = true;
        self.line_is_cut = true;
    }

    fn log(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            if byte != b'\n' {
                if self.line.len() < LINE_BUFFER {
                    self.line.push(byte);
                }
            } else {
                if !self.line.is_empty() {
                    tracing::debug!(output = %self.line_shown(), "podman");
                }
                self.line.clear();
                self.line_is_cut = false;
            }
        }
    }

    fn line_shown(&self) -> String {
        let (start, end) = (self.line_is_cut, self.line.len() == LINE_BUFFER);
        shown(&redacted(&self.line, &self.secrets, start, end))
    }
}

/// Returns `text` without `secrets`, including partial secrets at a truncated start or end.
fn redacted(text: &[u8], secrets: &Secrets, cut_start: bool, cut_end: bool) -> String {
    let mut text = secrets.redact(&String::from_utf8_lossy(text));
    // Complete secrets are already replaced, so this cannot split one.
    if cut_start {
        text = text.chars().skip(secrets.longest()).collect();
    }
    if cut_end {
        let kept = text.chars().count().saturating_sub(secrets.longest());
        text = text.chars().take(kept).collect();
    }
    text
}

/// A stream that is being read, shared with its reader task.
#[derive(Debug, Clone)]
pub(crate) struct Stream(Arc<Mutex<Capture>>);

impl Stream {
    /// Creates a stream that redacts `secrets` in its log.
    pub(crate) fn new(keep: Keep, secrets: Secrets) -> Self {
        Self(Arc::new(Mutex::new(Capture::new(keep, secrets))))
    }

    /// Reads `pipe` to its end. Output that was read before the call is dropped is kept.
    pub(crate) async fn drain(self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut chunk = [0_u8; 8192];
        // A read error ends the stream like EOF: the exit status decides.
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            self.push(chunk.get(..length).unwrap_or_default());
        }
    }

    /// Adds output.
    pub(crate) fn push(&self, chunk: &[u8]) {
        self.lock().push(chunk);
    }

    /// Records a gap in the output.
    pub(crate) fn gap(&self) {
        self.lock().gap();
    }

    /// Returns the kept output, and whether there was more.
    pub(crate) fn take(&self) -> (Vec<u8>, bool) {
        let mut capture = self.lock();
        (std::mem::take(&mut capture.bytes), capture.overflowed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Capture> {
        // A capture is consistent after every push, so a poisoned lock is harmless.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the last useful lines of podman's stderr, redacted and escaped, in one line.
///
/// `is_cut` says whether the start is missing. Podman's own log lines (`time="…" level=…`) repeat the last line's
/// message; they are shown only if there is nothing else.
pub(crate) fn last_words(stderr: &[u8], is_cut: bool, secrets: &Secrets) -> String {
    let text = redacted(stderr, secrets, is_cut, !stderr.ends_with(b"\n"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(keep: Keep) -> Capture {
        Capture::new(keep, Secrets::default())
    }

    fn secrets() -> Secrets {
        Secrets::of_urls(["http://user:hunter2-hunter2@proxy"].into_iter())
    }

    #[test]
    fn the_head_is_kept_and_more_is_remembered_as_too_much() {
        let mut capture = capture(Keep::Head(5));
        capture.push(b"abc");
        assert!(!capture.overflowed);
        capture.push(b"defg");
        assert_eq!((capture.bytes.as_slice(), capture.overflowed), (&b"abcde"[..], true));
    }

    #[test]
    fn the_tail_stays_within_twice_its_limit_however_much_is_printed() {
        let mut capture = capture(Keep::Tail(64));
        for _ in 0..1000 {
            capture.push(b"0123456789");
            assert!(capture.bytes.len() <= 128);
        }
        capture.push(b"the end");
        assert!(capture.bytes.ends_with(b"the end"));
        assert!(capture.line.len() <= LINE_BUFFER);
    }

    #[test]
    fn podmans_error_line_has_priority_over_its_log_lines() {
        let last_words = |stderr| last_words(stderr, false, &Secrets::default());
        let stderr =
            b"time=\"x\" level=warning msg=\"Failed, retrying\"\noops\n\nError: it broke\n";
        assert_eq!(last_words(stderr), "oops; Error: it broke");
        assert_eq!(last_words(b"time=\"x\" only\n"), "time=\"x\" only");
        assert_eq!(last_words(b""), "");
    }

    #[test]
    fn a_secret_is_never_shown_wherever_the_output_is_cut() {
        let text = "user:hunter2-hunter2@proxy ";
        let is_clean = |shown: &str| !shown.contains("hunt") && !shown.contains("ter2");
        for offset in 0..text.len() {
            let output = format!("{}{}", "x".repeat(offset), text.repeat(400));
            let mut capture = Capture::new(Keep::Tail(256), secrets());
            output.as_bytes().chunks(7).for_each(|chunk| capture.push(chunk));
            assert!(is_clean(&capture.line_shown()), "{}", capture.line_shown());
            let said = last_words(&capture.bytes, capture.overflowed, &secrets());
            assert!(is_clean(&said) && said.contains("proxy"), "{said}");

            let (before, after) = output.as_bytes().split_at(100);
            capture.push(before);
            capture.gap();
            capture.push(&after[offset..offset + 200]);
            assert!(is_clean(&capture.line_shown()), "{}", capture.line_shown());
            let said = last_words(&capture.bytes, capture.overflowed, &secrets());
            assert!(is_clean(&said) && said.contains("proxy"), "{said}");
        }
    }
}
