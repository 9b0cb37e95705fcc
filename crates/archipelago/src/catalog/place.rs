//! The place of an error in a file: file, line, column, and the line with a caret below.

use std::fmt;
use std::ops::Range;

use companion_core::model::companion::InvalidValue;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most characters of a line that are shown.
const SHOWN: usize = 100;

/// Parts of key names whose values are hidden: a build argument may be a secret.
const SECRETS: [&str; 8] =
    ["auth", "cookie", "credential", "key", "passphrase", "passw", "secret", "token"];

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The number of the line, from 1.
    pub line: usize,
    /// The number of the character in its line, from 1.
    pub column: usize,
    /// The line and a caret below it, in three lines, without control characters and without the values of keys
    /// that look like secrets.
    ///
    /// For a terminal; a log must not contain text of a user's file.
    pub excerpt: String,
    hidden: bool,
}

impl Place {
    /// The place of `span`, a range of bytes, in `text`; `file` names it.
    pub(crate) fn of(text: &str, file: &str, span: Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let number = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        let column = before[start..].chars().count();
        let length = text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
        let hidden_from = hidden_from(text, start);
        let hidden = hidden_from.is_some_and(|from| before.len() - start >= from);
        let line = shown(line, hidden_from);
        let excerpt = excerpt(number, &line, column, length.chars().count());
        Self { file: file.to_owned(), line: number, column: column + 1, excerpt, hidden }
    }
}

/// `catalog.toml:3:1`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Returns the place and the one-line message of a parse error, without the line of the file: a log must not
/// contain text of a user's file.
pub(crate) fn described(text: &str, file: &str, error: &toml::de::Error) -> (Place, String) {
    let place = Place::of(text, file, error.span().unwrap_or_default());
    let message = error.message().lines().next().unwrap_or_default();
    // It quotes values and unknown keys as they stand in the file.
    if place.hidden {
        let expected = message.split_once(", expected ").map(|(_, expected)| expected);
        let expected = expected.map(|expected| format!(", expected {expected}"));
        return (place, format!("invalid value (not shown){}", expected.unwrap_or_default()));
    }
    let escape = |c: char| match c {
        '\'' | '"' | '\\' => c.to_string(),
        other => other.escape_debug().to_string(),
    };
    (place, message.chars().take(400).map(escape).collect())
}

/// The line as it may be shown, one character for each; from `hidden` on with stars.
fn shown(line: &str, hidden: Option<usize>) -> Vec<char> {
    let from = hidden.unwrap_or(usize::MAX);
    let shown = |(at, c): (usize, char)| match c {
        ' ' | '\t' => ' ',
        _ if at >= from => '*',
        '\'' | '"' | '\\' => c,
        _ if c.escape_debug().count() > 1 => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    line.char_indices().map(shown).collect()
}

fn excerpt(number: usize, line: &[char], column: usize, length: usize) -> String {
    // The caret stays within what is shown of the line, or stands right behind it.
    let first = column.saturating_sub(SHOWN / 2).min(line.len().saturating_sub(SHOWN));
    let last = line.len().min(first + SHOWN);
    let carets = length.min(last.saturating_sub(column)).max(1);
    let cut: String = line[first..last].iter().collect();
    let number = number.to_string();
    let (margin, indent) = (" ".repeat(number.len()), " ".repeat(column - first));
    let carets = "^".repeat(carets);
    format!("{margin} |\n{number} | {}\n{margin} | {indent}{carets}", cut.trim_end())
}

/// The byte of the line at `start` from which on it is not shown, if it holds the value of a secret, or may.
fn hidden_from(text: &str, start: usize) -> Option<usize> {
    let line = text[start..].lines().next().unwrap_or_default();
    let value = line.char_indices().filter(|(_, c)| *c == '=').map(|(at, _)| at + 1);
    if let Some(from) = value.into_iter().find(|from| names_secret(&line[..from - 1])) {
        return Some(from);
    }
    // A line without a key goes on with the value of one before it, as in a text of several lines.
    let owner = text[..start].lines().rev().find(|line| line.contains('='));
    let goes_on = !line.contains('=') && !line.trim_start().starts_with('[');
    let in_text =
        ["\"\"\"", "'''"].iter().any(|quote| text[..start].matches(quote).count() % 2 == 1);
    let secret =
        owner.is_some_and(|owner| names_secret(owner.split('=').next().unwrap_or_default()));
    ((goes_on && secret) || in_text).then_some(0)
}

/// Whether what ends in a key ends in one that looks like a secret's; a key that names a file does not.
fn names_secret(text: &str) -> bool {
    let key = text.trim_end().trim_end_matches(['"', '\'']);
    let of_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let key = key.rsplit(|c| !of_key(c)).next().unwrap_or_default().to_lowercase();
    !key.ends_with("_file") && SECRETS.iter().any(|secret| key.contains(secret))
}

/// Where the value that `error` is about stands in `text`: in `[node]`, or in the companion of that number.
pub(crate) fn locate(text: &str, companion: Option<usize>, error: &InvalidValue) -> Range<usize> {
    let root = DeTable::parse_recoverable(text).0.into_inner();
    let found = match companion {
        None => root.get("node"),
        Some(number) => root.get("companion").and_then(|entries| entries.get_ref().get(number)),
    };
    let Some(found) = found else { return 0..0 };
    // `bitcoin.user` is the field `user` of a table.
    let field = error.field().rsplit('.').next().unwrap_or_default();
    let of_field = find_key(found, field);
    let value = |within| find_text(within, error.shown());
    let place = of_field.and_then(value).or_else(|| value(found));
    let place = place.or_else(|| of_field.map(Spanned::span));
    let name = || find_key(found, "name").map(Spanned::span);
    place.or_else(name).unwrap_or_else(|| found.span())
}

type Node<'i> = Spanned<DeValue<'i>>;

/// The text, or else the key, that reads `shown`.
fn find_text(value: &Node<'_>, shown: &str) -> Option<Range<usize>> {
    let reads = |text: &str| !text.is_empty() && InvalidValue::excerpt(text) == shown;
    match value.get_ref() {
        DeValue::String(text) => reads(text).then(|| value.span()),
        DeValue::Array(items) => items.iter().find_map(|item| find_text(item, shown)),
        DeValue::Table(entries) => {
            let text = entries.values().find_map(|value| find_text(value, shown));
            text.or_else(|| entries.keys().find(|key| reads(key.get_ref())).map(Spanned::span))
        }
        _ => None,
    }
}

/// The value of the key `field`, the least deep.
fn find_key<'v, 'i>(value: &'v Node<'i>, field: &str) -> Option<&'v Node<'i>> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().find_map(|item| find_key(item, field)),
        DeValue::Table(entries) => {
            let own = entries.get(field);
            own.or_else(|| entries.values().find_map(|value| find_key(value, field)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
