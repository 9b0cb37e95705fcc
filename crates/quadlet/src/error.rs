//! Rendering errors, and how much of a value a message may show: nothing of the value of a pair.

use crate::{escape::Refusal, key::Key};

/// A setting that cannot be rendered faithfully: its location and the reason.
///
/// The message names section, key and cause. Values are escaped and truncated to 60 characters; the value of a variable
/// or label is never shown, because it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`[{section}] {key}`{item}: {reason}")]
pub struct RenderError {
    section: &'static str,
    key: &'static str,
    /// Empty, or ` of` and the name of a pair.
    item: String,
    reason: String,
    needs_podman: bool,
}

impl RenderError {
    pub(crate) fn new(key: &Key, item: Option<&str>, Refusal { value, why }: &Refusal) -> Self {
        let shown = if item.is_some() { "the value".to_owned() } else { excerpt(value) };
        let item = item.map(|item| format!(" of {}", excerpt(item))).unwrap_or_default();
        let reason = format!("{shown} {why}");
        Self { section: key.section, key: key.name, item, reason, needs_podman: false }
    }

    pub(crate) fn needs_podman(key: &Key, reason: String) -> Self {
        let item = String::new();
        Self { section: key.section, key: key.name, item, reason, needs_podman: true }
    }

    /// Returns the key, such as `Volume`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// Returns whether a newer Podman has the key, or this value of it.
    #[must_use]
    pub fn is_about_podman(&self) -> bool {
        self.needs_podman
    }
}

/// Returns the displayable part of a value: escaped, at most 60 characters.
fn excerpt(value: &str) -> String {
    const LENGTH: usize = 60;
    let mut escaped = value.chars().take(LENGTH + 1).flat_map(char::escape_debug);
    let text: String = escaped.by_ref().take(LENGTH).collect();
    let rest = if escaped.next().is_some() { "…" } else { "" };
    format!("`{text}{rest}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_says_when_it_is_cut_and_shows_no_control_character() {
        assert_eq!(excerpt(&"a".repeat(60)), format!("`{}`", "a".repeat(60)));
        assert_eq!(excerpt(&"a".repeat(61)), format!("`{}…`", "a".repeat(60)));
        assert_eq!(excerpt("a\nb\u{1b}"), "`a\\nb\\u{1b}`");
    }
}
