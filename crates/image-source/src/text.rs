//! Text from outside, fit for a log line and an error message.

use std::path::Path;

/// The longest line that is logged or shown, in characters.
const LINE_LIMIT: usize = 400;

/// Returns `text` in one line without control characters, truncated to 400 characters.
pub fn shown(text: &str) -> String {
    let mut line = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LINE_LIMIT {
            line.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => line.push(c),
            _ => line.extend(c.escape_debug()),
        }
    }
    line
}

/// Returns a path in one line without control characters: a file name may contain any byte but two.
pub fn path_shown(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_cannot_forge_a_line() {
        assert_eq!(shown("a\u{1b}[31m\r\"b\" \u{2028}"), "a\\u{1b}[31m\\r\"b\" \\u{2028}");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), LINE_LIMIT + 1);
    }
}
