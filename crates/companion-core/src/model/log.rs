//! What a service logged last: a few short lines that are safe to print.

use serde::Serialize;

/// The last lines that one run of a service logged, oldest first.
///
/// The text is the program's own, so it is bounded and escaped here, whichever adapter read it: at most
/// [`MAX_LINES`](Self::MAX_LINES) lines of [`MAX_BYTES`](Self::MAX_BYTES) bytes, none of them blank, and no
/// character that moves a cursor or forges another line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct LogTail(Vec<String>);

impl LogTail {
    /// The most lines that are kept.
    pub const MAX_LINES: usize = 5;
    /// The most bytes of a line; what is longer ends with `…`.
    pub const MAX_BYTES: usize = 500;

    /// The last lines of `messages`, each of which may have several.
    pub fn of<'m>(messages: impl IntoIterator<Item = &'m str>) -> Self {
        let lines = messages.into_iter().flat_map(str::lines).map(str::trim_end);
        let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
        let last = lines.len().saturating_sub(Self::MAX_LINES);
        Self(lines[last..].iter().map(|line| shown(line)).collect())
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// Whether nothing was logged.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `line` escaped and cut.
fn shown(line: &str) -> String {
    const CUT: char = '…';
    let mut shown = String::new();
    for c in line.chars() {
        let before = shown.len();
        match c {
            // Quotes are no danger, and a log is full of them.
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
    fn the_last_lines_are_kept_in_their_order() {
        let log = LogTail::of(["1\n2", "", "  ", "3", "4\r\n5\n", "6"]);
        assert_eq!(log.lines(), ["2", "3", "4", "5", "6"]);
        assert!(LogTail::of(["", "\n"]).is_empty());
    }

    #[test]
    fn a_line_cannot_command_a_terminal() {
        let log = LogTail::of(["\u{1b}[2K\u{7}it's \"fine\"\u{202e}\u{85}x"]);
        assert_eq!(log.lines(), [r#"\u{1b}[2K\u{7}it's "fine"\u{202e}\u{85}x"#]);
    }

    proptest! {
        #[test]
        fn every_log_keeps_its_bounds(messages: Vec<String>, long in "[a\u{1b}é]{0,900}") {
            let log = LogTail::of(messages.iter().map(String::as_str).chain([long.as_str()]));
            prop_assert!(log.lines().len() <= LogTail::MAX_LINES);
            for line in log.lines() {
                prop_assert!(line.len() <= LogTail::MAX_BYTES, "{} bytes", line.len());
                prop_assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
