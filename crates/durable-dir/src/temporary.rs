//! The names of temporary files: made, and known again after a crash. Pure but for the random bytes.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// How many random characters a name has: 40 bits.
const RANDOM: usize = 8;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const SUFFIX: &str = ".tmp";

/// A fresh name for the temporary file of `name`: `.NAME.XXXXXXXX.tmp`.
///
/// Only its last extension counts for Quadlet's generator, which loads every entry with an extension
/// it knows, also one with a leading dot (Podman 5.4, `cmd/quadlet/main.go`).
pub(crate) fn fresh_name(name: &str) -> Result<String, Errno> {
    let mut random = [0_u8; RANDOM];
    let got = getrandom(&mut random, GetRandomFlags::empty())?;
    if got != RANDOM {
        return Err(Errno::AGAIN);
    }
    let letters: String = random
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
        .map(|&letter| char::from(letter))
        .collect();
    Ok(format!(".{name}.{letters}{SUFFIX}"))
}

/// The name that a temporary file of [`fresh_name`] is for; `None` for any other name.
pub(crate) fn target(file_name: &str) -> Option<&str> {
    let (name, letters) = file_name.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let random = letters.len() == RANDOM && letters.bytes().all(|b| ALPHABET.contains(&b));
    (random && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_is_known_again_and_ends_in_no_extension_that_quadlet_loads() {
        for name in ["web.container", ".hidden", "a", "x.y.z"] {
            let fresh = fresh_name(name).unwrap();
            assert_eq!(target(&fresh), Some(name));
            assert!(fresh.ends_with(".tmp"));
        }
    }

    #[test]
    fn two_temporary_names_differ() {
        assert_ne!(fresh_name("a").unwrap(), fresh_name("a").unwrap());
    }

    #[test]
    fn other_names_are_not_taken_for_temporary_ones() {
        for name in [
            "web.container",
            ".web.container.tmp",
            "web.container.abcdefgh.tmp",
            ".web.container.abcdefg.tmp",
            ".web.container.abcdefg1.tmp",
            ".web.container.ABCDEFGH.tmp",
            "..abcdefgh.tmp",
            ".abcdefgh.tmp",
            ".web.abcdefgh.container",
            ".web.abcdefgh.tmp~",
        ] {
            assert_eq!(target(name), None);
        }
    }
}
