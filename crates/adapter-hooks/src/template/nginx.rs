//! Values in nginx's configuration: how a text is quoted, and where a quoted text may occur. Pure.
//!
//! nginx parses its configuration into words, `;`, `{` and `}`. A word in double quotes ends at the next unescaped `"`;
//! `\\` and `\"` escape the second character. A `$` always starts a variable and cannot be escaped (ngx_conf_file.c,
//! ngx_http_script.c).

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use zeroize::Zeroizing;

use super::{NOT_A_TEXT, Refusal};

/// Maximum size of a quoted value in bytes: nginx reads its file through a buffer of 4096 bytes and rejects a longer
/// word.
pub(super) const VALUE_LIMIT: usize = 4000;

const TOO_LONG: Refusal = Refusal("is longer than 4000 bytes");
const CONTROL_CHARACTER: Refusal =
    Refusal("contains a control character, which nginx cannot escape");

/// Delimits a quoted value until its position is checked. Neither a template nor a value may contain these characters.
pub(super) const OPEN: char = '\u{1}';
pub(super) const CLOSE: char = '\u{2}';

/// A text created by [`quote`]: only a value of this type may be printed unchanged.
pub(super) struct Quoted(Zeroizing<String>);

impl Quoted {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<quoted>")
    }
}

impl Object for Quoted {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    /// Joined with other text it would no longer be quoted, so it becomes a rejected text.
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<quoted>")
    }
}

/// The filter `nginx_quote`: quotes the whole value as one nginx word.
pub(super) fn quote(value: &Value) -> Result<Value, Refusal> {
    let number;
    let text = match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => text,
        (ValueKind::Number, _) => {
            number = value.to_string();
            &number
        }
        _ => return Err(NOT_A_TEXT),
    };
    if text.len() > VALUE_LIMIT {
        return Err(TOO_LONG);
    }
    // Reserve the worst case: a growing buffer would leave parts of a secret in memory.
    let mut quoted = Zeroizing::new(String::with_capacity(text.len() * 2 + 2));
    quoted.push('"');
    for character in text.chars() {
        match character {
            '$' => return Err(Refusal("contains a `$`, which nginx cannot escape")),
            control if control.is_control() => return Err(CONTROL_CHARACTER),
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    if quoted.len() > VALUE_LIMIT {
        return Err(TOO_LONG);
    }
    Ok(Value::from_object(Quoted(quoted)))
}

/// Removes the delimiters and checks that each quoted value is a separate word.
///
/// Inside the template's own quotes, the value's quotes would end the word early, and the rest of the value would
/// become configuration.
///
/// # Errors
/// The number of the rendered line with a value inside another word.
pub(super) fn place(marked: &str) -> Result<Zeroizing<String>, usize> {
    let mut placed = Zeroizing::new(String::with_capacity(marked.len()));
    let mut reader = Reader::Between;
    let mut line = 1;
    let mut inside = false;
    for character in marked.chars() {
        match character {
            OPEN if matches!(reader, Reader::Between | Reader::Comment) => inside = true,
            OPEN => return Err(line),
            CLOSE => {
                inside = false;
                if reader == Reader::Between {
                    reader = Reader::AfterQuotes;
                }
            }
            quoted if inside => placed.push(quoted),
            plain => {
                reader = reader.then(plain).ok_or(line)?;
                line += usize::from(plain == '\n');
                placed.push(plain);
            }
        }
    }
    Ok(placed)
}

/// The parser's state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Between,
    Comment,
    Word { dollar: bool },
    EscapeInWord,
    Quotes(char),
    EscapeInQuotes(char),
    AfterQuotes,
}

impl Reader {
    /// Returns the state after `character`; `None` if nginx rejects the file.
    fn then(self, character: char) -> Option<Self> {
        let separates = matches!(character, ' ' | '\t' | '\r' | '\n' | ';' | '{');
        Some(match (self, character) {
            (Self::Comment, '\n') => Self::Between,
            (Self::Comment, _) => Self::Comment,
            (Self::Between, '#') => Self::Comment,
            (Self::Between, '}') => Self::Between,
            (Self::Between, '"' | '\'') => Self::Quotes(character),
            (Self::Between | Self::Word { .. }, '\\') => Self::EscapeInWord,
            (Self::Between | Self::Word { .. }, '$') => Self::Word { dollar: true },
            // `${name}`: nginx skips any number of braces after the `$`.
            (Self::Word { dollar: true }, '{') => self,
            (Self::Between | Self::Word { .. } | Self::AfterQuotes, _) if separates => {
                Self::Between
            }
            // The end of `if ($a = "b")` is a separate word.
            (Self::AfterQuotes, ')') => Self::Word { dollar: false },
            (Self::AfterQuotes, _) => return None,
            (Self::Between | Self::Word { .. } | Self::EscapeInWord, _) => {
                Self::Word { dollar: false }
            }
            (Self::Quotes(mark), '\\') => Self::EscapeInQuotes(mark),
            (Self::Quotes(mark), end) if end == mark => Self::AfterQuotes,
            (Self::Quotes(mark) | Self::EscapeInQuotes(mark), _) => Self::Quotes(mark),
        })
    }
}
