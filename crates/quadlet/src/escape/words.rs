//! Values that are split into words.

use super::{Refusal, check_semicolon, double_for_command};

/// A word that Quadlet unquotes and unescapes, and passes to podman.
pub(super) fn argument(word: &str) -> Result<String, Refusal> {
    check_semicolon(word)?;
    Ok(quoted(&double_for_command(word)))
}

/// A word that Quadlet unquotes but does not unescape, so it cannot contain a quote.
pub(super) fn unescaped(word: &str) -> Result<String, Refusal> {
    check_semicolon(word)?;
    bare_or_quoted(word, &['"', '\''], double_for_command(word))
}

/// A path that systemd unquotes without unescaping, and expands `%` in.
pub(super) fn path(word: &str) -> Result<String, Refusal> {
    bare_or_quoted(word, &['"', '\'', '\\'], word.replace('%', "%%"))
}

/// Returns `spelt`, quoted if `word` needs it, which has no escape for control characters and `never`.
///
/// Quoting protects a trailing backslash, which would continue the line, and a trailing blank, which Quadlet would trim by
/// Unicode's definition.
fn bare_or_quoted(word: &str, never: &[char], spelt: String) -> Result<String, Refusal> {
    if let Some(found) = word.chars().find(|c| c.is_control()) {
        return Err(Refusal::control(word, found));
    }
    if word.contains(never) {
        return Err(Refusal::new(word, "contains a quote or a backslash"));
    }
    let quote = word.contains(|c: char| c == '\\' || c.is_whitespace());
    Ok(if quote { format!("\"{spelt}\"") } else { spelt })
}

/// An assignment that systemd unquotes, unescapes and expands `%` in; `$` is not special, and tab and line feed are the
/// only control characters that systemd accepts.
pub(super) fn assignment(word: &str) -> Result<String, Refusal> {
    match word.chars().find(|&c| c.is_control() && c != '\t' && c != '\n') {
        Some(found) => Err(Refusal::control(word, found)),
        None => Ok(quoted(&word.replace('%', "%%"))),
    }
}

/// Quotes a word so that neither blanks nor quotes split it and control characters are escaped.
fn quoted(word: &str) -> String {
    let mut spelt = String::with_capacity(word.len() + 2);
    spelt.push('"');
    for c in word.chars() {
        match c {
            '\\' => spelt.push_str("\\\\"),
            '"' => spelt.push_str("\\\""),
            '\n' => spelt.push_str("\\n"),
            '\t' => spelt.push_str("\\t"),
            // Never octal, which Podman before 5.4 misreads.
            c if c.is_ascii_control() => spelt.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => spelt.push(c),
        }
    }
    spelt.push('"');
    spelt
}
