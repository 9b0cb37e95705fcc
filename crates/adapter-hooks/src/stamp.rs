//! The record of a program's last run: two keyed digests in a file next to its output.
//!
//! Without it, only another run would reveal whether the program's output has changed. The stamp contains only full
//! 256-bit digests, and is useless without the host's key.

use crate::key::Digest;

const HEAD: &str = "companion hook stamp 2";
/// Maximum size of a stamp in bytes: head, two labels, two digests, three newlines.
pub(crate) const LIMIT: usize = 256;

/// Relates an output to its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Keyed digest of the arguments and of the inputs' bytes, taken before the run.
    pub(crate) input: Digest,
    /// Keyed digest of the output, which also names the rendered file.
    pub(crate) output: Digest,
}

impl Stamp {
    /// Returns the stamp as text.
    pub(crate) fn to_text(self) -> String {
        let (input, output) = (hexadecimal(&self.input), hexadecimal(&self.output));
        format!("{HEAD}\ninput {input}\noutput {output}\n")
    }

    /// Parses a stamp; `None` for text that [`to_text`](Self::to_text) does not produce, so that the program runs
    /// again.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != HEAD {
            return None;
        }
        let input = digest(lines.next()?.strip_prefix("input ")?)?;
        let output = digest(lines.next()?.strip_prefix("output ")?)?;
        lines.next().is_none().then_some(Self { input, output })
    }
}

fn hexadecimal(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(hexadecimal: &str) -> Option<Digest> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if hexadecimal.len() != 64 || !hexadecimal.bytes().all(lower) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hexadecimal.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { input: [0x1f; 32], output: [0xa0; 32] };

    #[test]
    fn a_stamp_reads_back_and_fits_its_limit() {
        let text = STAMP.to_text();
        assert!(text.len() <= LIMIT);
        assert_eq!(Stamp::parse(text.as_bytes()), Some(STAMP));
    }

    #[test]
    fn a_damaged_stamp_says_nothing() {
        let text = STAMP.to_text();
        for end in 0..text.len() {
            assert_eq!(Stamp::parse(&text.as_bytes()[..end]), None, "truncated at {end}");
        }
        let more = format!("{text}more\n");
        let upper = text.replace("1f", "1F");
        for damaged in [more.as_str(), upper.as_str(), "", "\n\n\n"] {
            assert_eq!(Stamp::parse(damaged.as_bytes()), None, "{damaged:?}");
        }
    }
}
