//! A child's stderr, bounded to its tail, and without secrets.

use image_source::text::shown;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

use super::secrets::Secrets;

/// How much of stderr is kept for an error message, in bytes.
const TAIL_LIMIT: usize = 64 * 1024;

/// The longest part of a line that is logged as one, in bytes.
const PART_LIMIT: u64 = 4096;

/// How many of the last lines of stderr are shown.
const LINES_SHOWN: usize = 3;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// Whether there was more before them.
    is_cut: bool,
}

impl Tail {
    /// Reads `pipe` to its end, and logs each line at level debug. What was read before the call is dropped is kept.
    pub(crate) async fn read(&mut self, pipe: impl AsyncRead + Unpin, secrets: &Secrets) {
        self.read_to(pipe, |part, starts, ends| {
            let line = shown(redacted(part, secrets, !starts, !ends).trim_end());
            if !line.is_empty() {
                tracing::debug!(output = line, "podman");
            }
        })
        .await;
    }

    /// As [`read`](Self::read); `log` gets each line, or its parts, and whether the line starts and ends there.
    async fn read_to(&mut self, pipe: impl AsyncRead + Unpin, log: impl Fn(&[u8], bool, bool)) {
        let (mut pipe, mut starts) = (BufReader::new(pipe), true);
        loop {
            let before = self.bytes.len();
            // A read error ends the stream like EOF: the exit status decides.
            let read = (&mut pipe).take(PART_LIMIT).read_until(b'\n', &mut self.bytes).await;
            let Ok(1..) = read else { return };
            let ends = self.bytes.ends_with(b"\n");
            log(self.bytes.get(before..).unwrap_or_default(), starts, ends);
            starts = ends;
            // Truncate only at twice the limit: moving the tail for each line would be quadratic.
            if self.bytes.len() > 2 * TAIL_LIMIT {
                self.bytes.drain(..self.bytes.len() - TAIL_LIMIT);
                self.is_cut = true;
            }
        }
    }

    /// Returns the last useful lines of podman's stderr, redacted and escaped, in one line.
    ///
    /// Podman's own log lines (`time="…" level=…`) repeat the last line's message; they are shown only if there is
    /// nothing else.
    pub(crate) fn last_words(&self, secrets: &Secrets) -> String {
        let text = redacted(&self.bytes, secrets, self.is_cut, !self.bytes.ends_with(b"\n"));
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
}

impl From<&[u8]> for Tail {
    fn from(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_owned(), is_cut: false }
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn the_tail_stays_within_twice_its_limit_however_much_is_printed() {
        let mut tail = Tail::default();
        let output = format!("{}the end", "0123456789".repeat(1_000_000));
        tail.read_to(output.as_bytes(), |part, _, _| assert!(part.len() <= 4096)).await;
        assert!(tail.bytes.len() <= 2 * TAIL_LIMIT && tail.is_cut);
        assert!(tail.bytes.ends_with(b"9the end"));
    }

    #[test]
    fn podmans_error_line_has_priority_over_its_log_lines() {
        let last_words = |stderr: &[u8]| Tail::from(stderr).last_words(&Secrets::default());
        let stderr =
            b"time=\"x\" level=warning msg=\"Failed, retrying\"\noops\n\nError: it broke\n";
        assert_eq!(last_words(stderr), "oops; Error: it broke");
        assert_eq!(last_words(b"time=\"x\" only\n"), "time=\"x\" only");
        assert_eq!(last_words(b""), "");
    }

    #[tokio::test]
    async fn a_secret_is_never_shown_wherever_the_output_is_cut() {
        let text = "user:hunter2-hunter2@proxy ";
        let secrets = Secrets::of_urls(["http://user:hunter2-hunter2@proxy"].into_iter());
        let is_clean = |shown: &str| !shown.contains("hunt") && !shown.contains("ter2");
        for offset in 0..text.len() {
            let output = format!("{}{}", "x".repeat(offset), text.repeat(6000));
            let (mut tail, logged) = (Tail::default(), RefCell::new(String::new()));
            tail.read_to(output.as_bytes(), |part, starts, ends| {
                *logged.borrow_mut() += &redacted(part, &secrets, !starts, !ends);
            })
            .await;
            let (said, logged) = (tail.last_words(&secrets), logged.into_inner());
            assert!(tail.is_cut && is_clean(&said) && said.contains("proxy"), "{said}");
            assert!(is_clean(&logged) && logged.contains("proxy"), "offset {offset}");
        }
    }
}
