//! Rendering errors, and how much of a value a message may show: nothing for the values of `Environment=`.

use std::fmt;

use crate::PodmanVersion;

/// A setting that cannot be rendered faithfully: its location and the reason.
///
/// The message names section, key and cause. Values are escaped and truncated to 60 characters; the value of an
/// environment variable is never shown, because it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`[{section}]{}{key}`{}: {refusal}", if .key.is_empty() { "" } else { " " }, ItemSuffix(.item.as_ref()))]
pub struct RenderError {
    pub(crate) section: String,
    pub(crate) key: String,
    pub(crate) item: Option<Excerpt>,
    pub(crate) refusal: Refusal,
}

impl RenderError {
    pub(crate) fn new(section: &str, key: &str, refusal: Refusal) -> Self {
        Self { section: section.to_owned(), key: key.to_owned(), item: None, refusal }
    }

    /// Names the entry of a key with several entries, such as a variable's name.
    pub(crate) fn of_item(mut self, item: &str) -> Self {
        self.item = Some(Excerpt::of(item));
        self
    }

    /// Returns the section, such as `Container` or `X-Companion`.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.section
    }

    /// Returns the key, such as `Volume`; empty if the whole section was rejected.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns why the setting was rejected.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}

/// Why a setting was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The key, or this value of it, requires a later Podman and has no replacement.
    #[error("needs Podman {needed}, the unit is for {given}")]
    NeedsPodman {
        /// The first version that supports it.
        needed: PodmanVersion,
        /// The requested version.
        given: PodmanVersion,
    },
    /// A required value is missing, or a word is empty, which makes Quadlet drop the rest.
    #[error("is empty")]
    Empty,
    /// A control character that this key's class cannot express.
    #[error("{value} contains the control character U+{code:04X}")]
    ControlCharacter {
        /// The value.
        value: Excerpt,
        /// The character's code point.
        code: u32,
    },
    /// A leading or trailing blank, which the parser trims.
    #[error("{value} starts or ends with a blank")]
    EdgeBlank {
        /// The value.
        value: Excerpt,
    },
    /// A leading or trailing double quote, which some versions strip.
    #[error("{value} starts or ends with a double quote")]
    EdgeQuote {
        /// The value.
        value: Excerpt,
    },
    /// A quote, or where systemd would read it as an escape a backslash, in a key without an escape for it.
    #[error("{value} contains a quote or a backslash")]
    Quote {
        /// The value.
        value: Excerpt,
    },
    /// A trailing backslash, which continues the line.
    #[error("{value} ends with a backslash")]
    TrailingBackslash {
        /// The value.
        value: Excerpt,
    },
    /// The word `;`, which systemd reads as the end of the command.
    #[error("an argument is `;`, which separates commands")]
    LoneSemicolon,
    /// Longer than the parsers or the kernel allow.
    #[error("takes {bytes} bytes, the limit is {limit}")]
    TooLong {
        /// The required bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A suffix that makes Quadlet read the value as a reference to another unit file.
    #[error("{value} ends with `{suffix}`, which refers to another unit")]
    UnitReference {
        /// The value.
        value: Excerpt,
        /// The suffix.
        suffix: &'static str,
    },
    /// An image reference with a transport prefix, such as `docker-archive:`.
    #[error("{value} has the transport `{transport}`")]
    Transport {
        /// The value.
        value: Excerpt,
        /// The transport, without its colon.
        transport: &'static str,
    },
    /// An invalid value.
    #[error("{value} is not {expected}")]
    Invalid {
        /// The value.
        value: Excerpt,
        /// The expected value, such as `an absolute path without . and ..`.
        expected: &'static str,
    },
    /// A name with a special meaning for Podman, Quadlet or systemd.
    #[error("{value} is reserved")]
    Reserved {
        /// The value.
        value: Excerpt,
    },
    /// A duplicate name, of which only one would count.
    #[error("{value} is duplicated")]
    Duplicate {
        /// The value.
        value: Excerpt,
    },
    /// Two mutually exclusive settings.
    #[error("{first} excludes {second}")]
    Conflict {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

impl Refusal {
    /// Adds the location of the key.
    pub(crate) fn at(self, section: &str, key: &str) -> RenderError {
        RenderError::new(section, key, self)
    }

    /// Hides the value, which may be a secret.
    pub(crate) fn hidden(mut self) -> Self {
        match &mut self {
            Self::ControlCharacter { value, .. }
            | Self::EdgeBlank { value }
            | Self::EdgeQuote { value }
            | Self::Quote { value }
            | Self::TrailingBackslash { value }
            | Self::UnitReference { value, .. }
            | Self::Transport { value, .. }
            | Self::Invalid { value, .. }
            | Self::Reserved { value }
            | Self::Duplicate { value } => *value = Excerpt(None),
            Self::NeedsPodman { .. }
            | Self::Empty
            | Self::LoneSemicolon
            | Self::TooLong { .. }
            | Self::Conflict { .. } => {}
        }
        self
    }
}

/// A displayable part of a rejected value: escaped, at most 60 characters, or hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(Option<String>);

impl Excerpt {
    const LENGTH: usize = 60;

    pub(crate) fn of(value: &str) -> Self {
        let mut escaped = value.chars().take(Self::LENGTH + 1).flat_map(char::escape_debug);
        let mut text: String = escaped.by_ref().take(Self::LENGTH).collect();
        if escaped.next().is_some() {
            text.push('…');
        }
        Self(Some(text))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => write!(f, "`{text}`"),
            None => f.write_str("the value"),
        }
    }
}

struct ItemSuffix<'a>(Option<&'a Excerpt>);

impl fmt::Display for ItemSuffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |item| write!(f, " of {item}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_says_when_it_is_cut_and_shows_no_control_character() {
        let shown = |value: &str| Excerpt::of(value).to_string();
        assert_eq!(shown(&"a".repeat(60)), format!("`{}`", "a".repeat(60)));
        assert_eq!(shown(&"a".repeat(61)), format!("`{}…`", "a".repeat(60)));
        assert_eq!(shown("a\nb\u{1b}"), "`a\\nb\\u{1b}`");
    }
}
