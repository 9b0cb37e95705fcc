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
    /// A value that no text of the unit expresses, or that Podman, Quadlet or systemd would interpret differently.
    #[error("{value} {why}")]
    Value {
        /// The value.
        value: Excerpt,
        /// What is wrong with it, such as `starts or ends with a blank`.
        why: String,
    },
    /// What is wrong without regard to a value, such as `is empty`.
    #[error("{0}")]
    Setting(String),
}

impl Refusal {
    pub(crate) fn value(value: &str, why: impl Into<String>) -> Self {
        Self::Value { value: Excerpt::of(value), why: why.into() }
    }

    /// A required value is missing, or a word is empty, which makes Quadlet drop the rest.
    pub(crate) fn empty() -> Self {
        Self::Setting("is empty".to_owned())
    }

    /// Longer than the parsers or the kernel allow.
    pub(crate) fn too_long(bytes: usize, limit: usize) -> Self {
        Self::Setting(format!("takes {bytes} bytes, the limit is {limit}"))
    }

    /// A control character that the key's class cannot express.
    pub(crate) fn control(value: &str, found: char) -> Self {
        let why = format!("contains the control character U+{:04X}", u32::from(found));
        Self::value(value, why)
    }

    /// Adds the location of the key.
    pub(crate) fn at(self, section: &str, key: &str) -> RenderError {
        RenderError { section: section.to_owned(), key: key.to_owned(), item: None, refusal: self }
    }

    /// Hides the value, which may be a secret.
    pub(crate) fn hidden(self) -> Self {
        match self {
            Self::Value { why, .. } => Self::Value { value: Excerpt(None), why },
            Self::NeedsPodman { .. } | Self::Setting(_) => self,
        }
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
