//! One escaping rule for each [`Class`] of key: escapes words so that Quadlet, systemd's parser and systemd's expansion
//! restore them, and rejects words that cannot be escaped. Knows no keys.

mod line;
mod words;

use crate::key::Class;

/// The longest argument that Linux passes to a program, minus room for the option in front of it.
const WORD_LIMIT: usize = 128 * 1024 - 256;

/// A value that no text of the unit expresses, or that Podman, Quadlet or systemd would interpret differently.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) value: String,
    /// What is wrong with it, such as `starts or ends with a blank`.
    pub(crate) why: String,
}

impl Refusal {
    pub(crate) fn new(value: &str, why: impl Into<String>) -> Self {
        Self { value: value.to_owned(), why: why.into() }
    }

    pub(crate) fn too_long(value: &str, bytes: usize, limit: usize) -> Self {
        Self::new(value, format!("takes {bytes} bytes, the limit is {limit}"))
    }

    /// A control character that the key's class cannot express.
    fn control(value: &str, found: char) -> Self {
        Self::new(value, format!("contains the control character U+{:04X}", u32::from(found)))
    }
}

/// Escapes a word.
///
/// # Errors
///
/// [`Refusal`] if the class cannot express it.
pub(crate) fn spell(class: Class, word: &str) -> Result<String, Refusal> {
    check_any(word)?;
    match class {
        Class::Line | Class::Array => line::argument(word),
        Class::Name => line::name(word),
        Class::Text => line::text(word),
        Class::Verbatim => line::verbatim(word),
        Class::Paths => words::path(word),
        Class::Strv => words::unescaped(word),
        Class::Args => words::argument(word),
        Class::Assignments => words::assignment(word),
    }
}

/// Returns the words of [`Class::Array`] as one: a single plain word unchanged, anything else as a JSON array, which can
/// express every character but NUL.
pub(crate) fn array(words: &[String]) -> Result<String, Refusal> {
    if let [word] = words
        && !word.starts_with('[')
        && spell(Class::Line, word).is_ok()
    {
        return Ok(word.clone());
    }
    let quoted: Result<Vec<String>, Refusal> = words.iter().map(|word| json(word)).collect();
    Ok(format!("[{}]", quoted?.join(",")))
}

fn json(word: &str) -> Result<String, Refusal> {
    if word.is_empty() {
        return Err(Refusal::new(word, "is empty"));
    }
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '\0' => return Err(Refusal::control(word, c)),
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    Ok(text)
}

/// Rejects what no class can express: an empty word, which makes Quadlet drop the rest, NUL, the control characters U+0080
/// to U+009F (Quadlet writes the first as a broken byte, and two of them are blanks or line ends to some parser), and words
/// longer than an argument.
fn check_any(word: &str) -> Result<(), Refusal> {
    if word.is_empty() {
        return Err(Refusal::new(word, "is empty"));
    }
    if word.len() > WORD_LIMIT {
        return Err(Refusal::too_long(word, word.len(), WORD_LIMIT));
    }
    match word.chars().find(|&c| c == '\0' || ('\u{80}'..='\u{9f}').contains(&c)) {
        Some(c) => Err(Refusal::control(word, c)),
        None => Ok(()),
    }
}

/// Rejects the word `;`, which systemd reads as the end of a command even if it is quoted in the `.container` file,
/// because Quadlet writes it unquoted.
fn check_semicolon(word: &str) -> Result<(), Refusal> {
    match word {
        ";" => Err(Refusal::new(word, "separates commands")),
        _ => Ok(()),
    }
}

/// Doubles the characters that systemd expands in a command line.
fn double_for_command(word: &str) -> String {
    word.replace('%', "%%").replace('$', "$$")
}

#[cfg(test)]
mod tests;
