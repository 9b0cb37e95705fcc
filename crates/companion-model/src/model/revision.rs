//! `Revision`: identifies the desired contents of a running companion.
//!
//! It is stored in the unit file, the service's environment and a container label, so each of them reports its
//! revision. Its parts show *what* differs, so a restart has a readable reason.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::companion::InvalidValue;
use super::hook::ConfigId;
use super::text::as_text;

/// The first 64 bits of a SHA-256, enough to distinguish the revisions of one companion.
///
/// Shown as 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Returns the fingerprint of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        Self::from_digest(&digest)
    }

    /// Returns a fingerprint from a hash.
    pub(crate) fn of_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// Returns the leading 64 bits of an existing digest, such as a keyed one.
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.len() == 16
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        u64::from_str_radix(text, 16).ok().filter(|_| hex).map(Self).ok_or_else(|| {
            InvalidValue::new("fingerprint", text, "must be 16 lower-case hexadecimal digits")
        })
    }
}

as_text!(Fingerprint);

/// The desired contents: container specification, image, rendered configuration.
///
/// The text form is `<spec>-<image>-<config>-<rendering>-<restart_epoch>`, with `none` for a companion
/// without a hook, and without `<rendering>` where it is not known: `[a-z0-9.-]` only, so it needs no
/// quoting in any of the places that carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision {
    /// The canonical container specification.
    pub spec: Fingerprint,
    /// The image's id.
    pub image: Fingerprint,
    /// The rendered file.
    pub config: Option<ConfigId>,
    /// A digest of the rendered unit text without this revision.
    ///
    /// Another release of this program or of Podman may render the same specification differently. It also
    /// detects edits of the file. It is not a security feature: anyone who can edit the file can compute it.
    /// `None` before a unit store rendered the unit, and in units of older releases.
    pub rendering: Option<Fingerprint>,
    /// How often a unit with these contents replaced a tampered one.
    ///
    /// A tampered unit still reports its original revision. The restored unit therefore gets the next restart
    /// epoch, so that units loaded and processes started from the tampered one differ, even after crashes of
    /// the restoring process.
    pub restart_epoch: u32,
}

impl Revision {
    /// Returns whether specification, image and configuration are equal, independent of the rendering.
    pub fn same_contents(&self, other: &Self) -> bool {
        (self.spec, self.image, self.config) == (other.spec, other.image, other.config)
    }

    /// Returns the same contents with another restart epoch.
    #[must_use]
    pub fn with_restart_epoch(self, restart_epoch: u32) -> Self {
        Self { restart_epoch, ..self }
    }

    /// Returns the same contents with the rendered file of another epoch.
    #[must_use]
    pub fn with_config_epoch(self, epoch: u32) -> Self {
        Self { config: self.config.map(|config| ConfigId { epoch, ..config }), ..self }
    }

    /// Returns the same contents with the digest `rendering`.
    #[must_use]
    pub fn with_rendering(self, rendering: Option<Fingerprint>) -> Self {
        Self { rendering, ..self }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-", self.spec, self.image)?;
        match self.config {
            Some(config) => write!(f, "{config}")?,
            None => f.write_str("none")?,
        }
        if let Some(rendering) = self.rendering {
            write!(f, "-{rendering}")?;
        }
        write!(f, "-{}", self.restart_epoch)
    }
}

impl FromStr for Revision {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split('-');
            let spec = parts.next()?.parse().ok()?;
            let image = parts.next()?.parse().ok()?;
            let config = match parts.next()? {
                "none" => None,
                hex => Some(hex.parse().ok()?),
            };
            let (rendering, number) = match (parts.next()?, parts.next()) {
                (number, None) => (None, number),
                (hex, Some(number)) => (Some(hex.parse().ok()?), number),
            };
            let restart_epoch = number.parse().ok().filter(|n: &u32| n.to_string() == number)?;
            parts.next().is_none().then_some(Self { spec, image, config, rendering, restart_epoch })
        };
        parse().ok_or_else(|| {
            let rule = "must be of the form spec-image-config-rendering-restart_epoch";
            InvalidValue::new("revision", text, rule)
        })
    }
}

as_text!(Revision);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_text_form_round_trips(
            spec: u64,
            image: u64,
            config: Option<(u64, u32)>,
            rendering: Option<u64>,
            restart_epoch: u32,
        ) {
            let revision = Revision {
                spec: Fingerprint(spec),
                image: Fingerprint(image),
                config: config.map(|(digest, epoch)| ConfigId { digest: Fingerprint(digest), epoch }),
                rendering: rendering.map(Fingerprint),
                restart_epoch,
            };
            prop_assert_eq!(revision.to_string().parse::<Revision>().unwrap(), revision);
        }

        #[test]
        fn parsed_text_round_trips(text in "[0-9a-f]{15,17}-[0-9a-f]{16}-(none|[0-9A-Fa-f]{16}([.][0-9]{1,2})?)(-[0-9a-f]{16}|-none)?-[+0-9]{1,11}") {
            if let Ok(revision) = text.parse::<Revision>() {
                prop_assert_eq!(revision.to_string(), text);
            }
        }
    }

    #[test]
    fn revision_without_rendering_is_parsed() {
        let text = "0000000000000001-0000000000000002-none-7";
        let revision: Revision = text.parse().unwrap();
        assert_eq!((revision.rendering, revision.restart_epoch), (None, 7));
        assert_eq!(revision.to_string(), text);
    }

    #[test]
    fn a_fingerprint_is_the_head_of_the_sha_256() {
        assert_eq!(Fingerprint::of(b"").to_string(), "e3b0c44298fc1c14");
    }
}
