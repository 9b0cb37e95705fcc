//! The last log lines of a service, bounded and safe to print.

use serde::Serialize;

/// The last lines that one run of a service logged, oldest first.
///
/// A program may log anything, so the text is bounded and escaped here: at most [`MAX_LINES`](Self::MAX_LINES)
/// lines of [`MAX_BYTES`](Self::MAX_BYTES) bytes, no blank lines, and no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct LogTail(Vec<String>);

impl LogTail {
    /// The maximum number of lines.
    pub const MAX_LINES: usize = 5;
    /// The maximum bytes of a line; a longer line is cut and ends with `…`.
    pub const MAX_BYTES: usize = 500;

    /// Returns the last lines of `messages`, each of which may have several lines.
    pub fn of<'m>(messages: impl IntoIterator<Item = &'m str>) -> Self {
        let lines = messages.into_iter().flat_map(str::lines).map(str::trim_end);
        let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
        let last = lines.len().saturating_sub(Self::MAX_LINES);
        Self(lines[last..].iter().map(|line| shown(line)).collect())
    }

    /// Returns the lines, oldest first.
    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// Returns whether nothing was logged.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Escapes and cuts `line`.
fn shown(line: &str) -> String {
    const CUT: char = '…';
    let mut shown = String::new();
    for c in line.chars() {
        let before = shown.len();
        match c {
            // Quotes are safe to print and frequent in logs.
            '\'' | '"' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
        if shown.len() > LogTail::MAX_BYTES - CUT.len_utf8() {
            shown.truncate(before);
            shown.push(CUT);
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn last_lines_are_kept_in_order() {
        let log = LogTail::of(["1\n2", "", "  ", "3", "4\r\n5\n", "6"]);
        assert_eq!(log.lines(), ["2", "3", "4", "5", "6"]);
        assert!(LogTail::of(["", "\n"]).is_empty());
    }

    #[test]
    fn terminal_escapes_are_neutralized() {
        let log = LogTail::of(["\u{1b}[2K\u{7}it's \"fine\"\u{202e}\u{85}x"]);
        assert_eq!(log.lines(), [r#"\u{1b}[2K\u{7}it's "fine"\u{202e}\u{85}x"#]);
    }

    proptest! {
        #[test]
        fn log_stays_within_its_bounds(messages: Vec<String>, long in "[a\u{1b}é]{0,900}") {
            let log = LogTail::of(messages.iter().map(String::as_str).chain([long.as_str()]));
            prop_assert!(log.lines().len() <= LogTail::MAX_LINES);
            for line in log.lines() {
                prop_assert!(line.len() <= LogTail::MAX_BYTES, "{} bytes", line.len());
                prop_assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
