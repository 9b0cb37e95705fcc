//! What is said when a unit cannot be rendered; decides how much of a value a message may show, which for the values of
//! `Environment=` is nothing.

use std::fmt;

use crate::PodmanVersion;

/// A setting that cannot be rendered faithfully: where it stands, and why.
///
/// The message names section, key and cause. A value is quoted escaped and cut to 60 characters; the value of an environment
/// variable is never quoted, because it may be a secret.
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

    /// Says which of several entries under one key is meant, such as a variable's name.
    pub(crate) fn of_item(mut self, item: &str) -> Self {
        self.item = Some(Excerpt::of(item));
        self
    }

    /// Returns the section, such as `Container` or `X-Companion`.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.section
    }

    /// Returns the key, such as `Volume`; empty if the section as a whole was refused.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns why the setting was refused.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}

/// Why a setting was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The key, or this value of it, came with a later Podman, and nothing stands in for it.
    #[error("needs Podman {needed}, the unit is for {given}")]
    NeedsPodman {
        /// The first version that knows it.
        needed: PodmanVersion,
        /// The version that was asked for.
        given: PodmanVersion,
    },
    /// Nothing was given where something has to stand, or a word of no characters, which Quadlet drops with all after it.
    #[error("is empty")]
    Empty,
    /// A control character that the class of this key cannot carry.
    #[error("{value} holds the control character U+{code:04X}")]
    ControlCharacter {
        /// The value.
        value: Excerpt,
        /// The character's code point.
        code: u32,
    },
    /// A blank at the beginning or end, which the parser trims.
    #[error("{value} begins or ends with a blank")]
    EdgeBlank {
        /// The value.
        value: Excerpt,
    },
    /// A double quote at the beginning or end, which some versions strip.
    #[error("{value} begins or ends with a double quote")]
    EdgeQuote {
        /// The value.
        value: Excerpt,
    },
    /// A quote where the key has no way to escape one.
    #[error("{value} holds a quote")]
    Quote {
        /// The value.
        value: Excerpt,
    },
    /// A backslash at the end, which continues the line.
    #[error("{value} ends with a backslash")]
    TrailingBackslash {
        /// The value.
        value: Excerpt,
    },
    /// The word `;`, which systemd takes as the end of the command.
    #[error("a word is `;`, which separates commands")]
    LoneSemicolon,
    /// More bytes than the parsers or the kernel take.
    #[error("takes {bytes} bytes, the limit is {limit}")]
    TooLong {
        /// The bytes that it would take.
        bytes: usize,
        /// The bytes that it may take.
        limit: usize,
    },
    /// A suffix that makes Quadlet read the value as the name of another unit file.
    #[error("{value} ends with `{suffix}`, which refers to another unit")]
    UnitReference {
        /// The value.
        value: Excerpt,
        /// The suffix.
        suffix: &'static str,
    },
    /// An image reference with a transport in front, such as `docker-archive:`.
    #[error("{value} names the transport `{transport}`")]
    Transport {
        /// The value.
        value: Excerpt,
        /// The transport, without its colon.
        transport: &'static str,
    },
    /// Not what the key takes.
    #[error("{value} is not {expected}")]
    Invalid {
        /// The value.
        value: Excerpt,
        /// What the key takes, such as `an absolute path without . and ..`.
        expected: &'static str,
    },
    /// A name that means something else to Podman, Quadlet or systemd.
    #[error("{value} is reserved")]
    Reserved {
        /// The value.
        value: Excerpt,
    },
    /// The same name twice, where only one of them would count.
    #[error("{value} stands twice")]
    Duplicate {
        /// The value.
        value: Excerpt,
    },
    /// Two settings that exclude each other.
    #[error("{first} excludes {second}")]
    Conflict {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

impl Refusal {
    /// Places the refusal at a key.
    pub(crate) fn at(self, section: &str, key: &str) -> RenderError {
        RenderError::new(section, key, self)
    }

    /// The same refusal without the value, for what may be a secret.
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

/// Part of a refused value as a message may show it: escaped, at most 60 characters, or hidden.
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
