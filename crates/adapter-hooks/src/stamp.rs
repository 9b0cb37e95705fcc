//! What a program was last run for: two keyed digests in a file beside its output.
//!
//! Without it, nobody could say whether a program would print something else now, short of running
//! it. The stamp holds digests only, of the full 256 bits, and is worthless without the host's key.

use crate::key::Digest;

const HEAD: &str = "companion hook stamp 2";
/// The most bytes of a stamp: head, two labels, two digests, three line ends.
pub(crate) const LIMIT: usize = 256;

/// Which output was rendered from which input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Keyed digest of the argument list and of the inputs' bytes, before the program began.
    pub(crate) input: Digest,
    /// Keyed digest of what it printed, the one that the rendered file is named by.
    pub(crate) output: Digest,
}

impl Stamp {
    /// The stamp as text.
    pub(crate) fn to_text(self) -> String {
        let (input, output) = (hexadecimal(&self.input), hexadecimal(&self.output));
        format!("{HEAD}\ninput {input}\noutput {output}\n")
    }

    /// Reads a stamp; `None` for anything but what [`to_text`](Self::to_text) makes, which then says
    /// nothing, so that the program runs again.
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
            assert_eq!(Stamp::parse(&text.as_bytes()[..end]), None, "cut at {end}");
        }
        let more = format!("{text}more\n");
        let upper = text.replace("1f", "1F");
        for damaged in [more.as_str(), upper.as_str(), "", "\n\n\n"] {
            assert_eq!(Stamp::parse(damaged.as_bytes()), None, "{damaged:?}");
        }
    }
}
