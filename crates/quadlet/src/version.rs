//! The target Podman of a text: version parsing and ordering.

use std::{fmt, str::FromStr};

/// A version of Podman: major, minor and patch.
///
/// Parsed from the output of `podman version` (`5.4.2`), with a package or pre-release suffix (`5.4.2+ds1-2`,
/// `6.0.0-rc1`, `4.9.5-dev`), with or without the prefix `podman version`. The suffix is dropped: a pre-release counts
/// as the release it precedes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodmanVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl PodmanVersion {
    /// The oldest Podman with Quadlet; rendering fails for an older one.
    pub const FLOOR: Self = Self::new(4, 4, 0);

    /// Creates a version.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }
}

impl fmt::Display for PodmanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A text that is not a Podman version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a Podman version such as `5.4.2`", .text.escape_debug())]
pub struct VersionError {
    text: String,
}

impl FromStr for PodmanVersion {
    type Err = VersionError;

    /// Parses a version; ignores a suffix after `-`, `+` or `~`.
    ///
    /// # Errors
    ///
    /// [`VersionError`] unless the text has two or three decimal numbers joined by dots; a missing patch is 0.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let bare = trimmed.strip_prefix("podman version ").unwrap_or(trimmed).trim_start();
        let bare = bare.strip_prefix('v').unwrap_or(bare);
        let numbers = bare.split(['-', '+', '~']).next().unwrap_or_default();
        let number = |part: &str| -> Option<u32> {
            part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let parts: Option<Vec<u32>> = numbers.split('.').map(number).collect();
        match parts.as_deref() {
            Some(&[major, minor]) => Ok(Self::new(major, minor, 0)),
            Some(&[major, minor, patch]) => Ok(Self::new(major, minor, patch)),
            _ => Err(VersionError { text: text.chars().take(64).collect() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_and_without_suffix() {
        for (text, expected) in [
            ("5.4.2", (5, 4, 2)),
            ("5.4.2\n", (5, 4, 2)),
            ("6.0.0-rc1", (6, 0, 0)),
            ("4.9.5-dev", (4, 9, 5)),
            ("5.8.6+ds1-3", (5, 8, 6)),
            ("podman version 5.6.2", (5, 6, 2)),
            ("v4.4.0", (4, 4, 0)),
            ("5.4", (5, 4, 0)),
        ] {
            assert_eq!(
                text.parse(),
                Ok(PodmanVersion::new(expected.0, expected.1, expected.2)),
                "{text}"
            );
        }
    }

    #[test]
    fn texts_without_a_version_are_refused() {
        for text in [
            "",
            "podman",
            "5",
            "5.",
            ".4.2",
            "5.4.2.1",
            "5.x.1",
            "5.4.-1",
            "+5.4.2",
            "99999999999.1.1",
            "5. 4.2",
        ] {
            assert!(text.parse::<PodmanVersion>().is_err(), "{text}");
        }
    }
}
