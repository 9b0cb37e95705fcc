//! One escaping rule for each [`Class`] of key: escapes words so that Quadlet, systemd's parser and systemd's expansion
//! restore them, and rejects words that cannot be escaped. Knows no keys.

mod line;
mod words;

use crate::{error::Refusal, keys::Class};

/// The longest argument that Linux passes to a program, minus room for the option in front of it.
const WORD_LIMIT: usize = 128 * 1024 - 256;

/// Escapes the words of one assignment.
///
/// # Errors
///
/// [`Refusal`] if the class cannot express one of them.
pub(crate) fn spell(class: Class, words: &[&str]) -> Result<String, Refusal> {
    for word in words {
        check_any(word)?;
    }
    match class {
        Class::Scalar | Class::Line => one(words, line::argument),
        Class::SystemdText => one(words, line::text),
        Class::Bool | Class::SystemdValue => one(words, line::verbatim),
        Class::SystemdPaths => joined(words, words::path),
        Class::Strv => joined(words, words::unescaped),
        Class::Args | Class::KeyVal | Class::LastArgs => joined(words, words::argument),
        Class::SystemdEnvironment => joined(words, words::assignment),
    }
}

/// Escapes a value that only [`extension_value`](crate::extension_value) reads.
pub(crate) fn spell_extension(value: &str) -> Result<String, Refusal> {
    check_any(value)?;
    line::verbatim(value)
}

/// Rejects what no class can express: an empty word, NUL, the control characters U+0080 to U+009F (Quadlet writes the
/// first as a broken byte, and two of them are blanks or line ends to some parser), and words longer than an argument.
fn check_any(word: &str) -> Result<(), Refusal> {
    if word.is_empty() {
        return Err(Refusal::empty());
    }
    if word.len() > WORD_LIMIT {
        return Err(Refusal::too_long(word.len(), WORD_LIMIT));
    }
    match word.chars().find(|&c| c == '\0' || ('\u{80}'..='\u{9f}').contains(&c)) {
        Some(c) => Err(Refusal::control(word, c)),
        None => Ok(()),
    }
}

fn one(words: &[&str], spelling: fn(&str) -> Result<String, Refusal>) -> Result<String, Refusal> {
    match words {
        [word] => spelling(word),
        _ => Err(Refusal::empty()),
    }
}

fn joined(
    words: &[&str],
    spelling: fn(&str) -> Result<String, Refusal>,
) -> Result<String, Refusal> {
    let spelt: Result<Vec<_>, _> = words.iter().map(|word| spelling(word)).collect();
    Ok(spelt?.join(" "))
}

/// Rejects the word `;`, which systemd reads as the end of a command even if it is quoted in the `.container` file,
/// because Quadlet writes it unquoted.
fn check_semicolon(word: &str) -> Result<(), Refusal> {
    match word {
        ";" => Err(Refusal::value(word, "separates commands")),
        _ => Ok(()),
    }
}

/// Doubles the characters that systemd expands in a command line.
fn double_for_command(word: &str) -> String {
    word.replace('%', "%%").replace('$', "$$")
}

#[cfg(test)]
mod tests;
