//! The record of a program's last run: two keyed digests in a file next to its output.
//!
//! Without it, only another run would reveal whether the program's output has changed. The stamp contains only full
//! 256-bit digests, and is useless without the host's key. One that cannot be read says nothing: the program runs again.

use serde::{Deserialize, Serialize};

use crate::key::Digest;

/// Maximum size of a stamp in bytes.
pub(crate) const LIMIT: usize = 512;

/// Relates an output to its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stamp {
    /// Keyed digest of the arguments and of the inputs' bytes, taken before the run.
    pub(crate) input: Digest,
    /// Keyed digest of the output, which also names the rendered file.
    pub(crate) output: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { input: [0xff; 32], output: [0xa0; 32] };

    #[test]
    fn a_stamp_reads_back_and_fits_its_limit() {
        let bytes = serde_json::to_vec(&STAMP).unwrap();
        assert!(bytes.len() <= LIMIT);
        assert_eq!(serde_json::from_slice::<Stamp>(&bytes).unwrap(), STAMP);
    }
}
