//! Templates: a text with values, where a value can never become configuration. Pure.
//!
//! minijinja knows no escaping for nginx, so the rule is turned reconcile: what a template prints is
//! refused unless it is harmless wherever it stands (a number, `true`, `false`, or a text of
//! `[A-Za-z0-9_.:/-]` only) or went through the filter `nginx_quote`. A template's author who forgets
//! the filter gets an error with the first value that would have needed it.
//!
//! There is no include, import or inheritance; an undefined variable is an error; size, work and
//! output are bounded.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value as Printed, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use zeroize::{Zeroize as _, Zeroizing};

mod nginx;

/// The most bytes of a template.
pub const TEMPLATE_LIMIT: usize = 64 * 1024;
/// The most bytes of what it renders.
pub const OUTPUT_LIMIT: usize = 256 * 1024;
/// Work and memory of one rendering: about one unit for each step and for each 64 bytes.
const FUEL: u64 = 200_000;

/// The values of a template by name.
pub type Values = BTreeMap<String, Value>;

/// A value of a template. It may be a secret: `Debug` shows its type only, and texts are wiped when
/// dropped. (minijinja keeps copies of its own while it renders, which are freed but not wiped.)
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`, for conditions.
    Flag(bool),
    /// Several texts, for loops.
    Texts(Vec<String>),
}

impl Drop for Value {
    fn drop(&mut self) {
        match self {
            Self::Text(text) => text.zeroize(),
            Self::Texts(texts) => texts.zeroize(),
            Self::Number(_) | Self::Flag(_) => {}
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::Number(_) => "Number",
            Self::Flag(_) => "Flag",
            Self::Texts(_) => "Texts",
        })
    }
}

/// Why a template could not be rendered; quotes neither values nor the template's lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template is larger than [`TEMPLATE_LIMIT`].
    #[error("it has more than {TEMPLATE_LIMIT} bytes")]
    TooLarge,
    /// The template holds a control character other than tabulator and line ends.
    #[error("line {line} holds a control character")]
    ControlCharacter {
        /// The template's line, from 1.
        line: usize,
    },
    /// A variable of the template has no value.
    #[error("line {line} uses a variable without a value, candidates are {candidates:?}")]
    Undefined {
        /// The template's line, from 1.
        line: usize,
        /// The variables of the whole template that have no value, sorted.
        candidates: Vec<String>,
    },
    /// A value may not be printed as it is.
    #[error("line {line} prints a value that {refusal}")]
    Refused {
        /// The template's line, from 1.
        line: usize,
        /// Why.
        refusal: Refusal,
    },
    /// A value that `nginx_quote` quoted stands inside quotes or inside another word.
    #[error(
        "line {line} of what it renders has a quoted value inside another word, or right beside it: \
         join the parts first and quote the whole, as in `{{{{ (\"a\" ~ b) | nginx_quote }}}}`"
    )]
    Misplaced {
        /// The line of the rendered text, from 1.
        line: usize,
    },
    /// It renders more than [`OUTPUT_LIMIT`].
    #[error("it renders more than {OUTPUT_LIMIT} bytes")]
    OutputTooLarge,
    /// It takes too many steps or too much memory.
    #[error("it takes too much work to render")]
    TooMuchWork,
    /// Anything else that minijinja refuses: a syntax error, an unknown filter.
    #[error("line {line}: {what}")]
    Invalid {
        /// The template's line, from 1; 0 when it is not known.
        line: usize,
        /// What kind of error it is, in minijinja's words.
        what: String,
    },
}

/// Why a value may not be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A text with characters that could end a word.
    #[error(
        "is empty or not of `[A-Za-z0-9_.:/-]`, and did not go through the filter `nginx_quote`"
    )]
    Bare,
    /// A list, a map, nothing, or bytes.
    #[error("is neither a text nor a number")]
    NotAText,
    /// A `$`.
    #[error("holds a `$`, for which nginx has no spelling")]
    Dollar,
    /// A line break or another control character.
    #[error("holds a control character, for which nginx has no spelling")]
    ControlCharacter,
    /// More than nginx reads as one word.
    #[error("is longer than {} bytes", nginx::VALUE_LIMIT)]
    TooLong,
}

impl From<Refusal> for minijinja::Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::InvalidOperation, "refused").with_source(refusal)
    }
}

/// Fills `template` with `values`.
///
/// The result is wiped when dropped.
///
/// # Errors
/// [`TemplateError`] when the template, a value or the result is refused.
pub fn render(template: &str, values: &Values) -> Result<Zeroizing<String>, TemplateError> {
    if template.len() > TEMPLATE_LIMIT {
        return Err(TemplateError::TooLarge);
    }
    refuse_control_characters(template)?;
    let environment = environment();
    let compiled =
        environment.template_from_str(template).map_err(|error| sorted(&error, Vec::new))?;
    let mut output = Output(Zeroizing::new(Vec::with_capacity(OUTPUT_LIMIT)));
    let context =
        Printed::from_pairs(values.iter().map(|(name, value)| (name.as_str(), printed(value))));
    compiled.render_captured_to(context, &mut output).map_err(|error| {
        sorted(&error, || {
            let mut unknown: Vec<String> = compiled
                .undeclared_variables(false)
                .into_iter()
                .filter(|name| !values.contains_key(name))
                .collect();
            unknown.sort();
            unknown
        })
    })?;
    let marked = std::str::from_utf8(&output.0).map_err(|_never_cut| TemplateError::Invalid {
        line: 0,
        what: "the result is not UTF-8".to_owned(),
    })?;
    if !marked.contains(nginx::OPEN) {
        return Ok(Zeroizing::new(marked.to_owned()));
    }
    nginx::place(marked).map_err(|line| TemplateError::Misplaced { line })
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_name| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    // A configuration file ends with a line's end, as its template does.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.add_filter("nginx_quote", |value: &Printed| {
        if value.is_undefined() {
            return Err(ErrorKind::UndefinedError.into());
        }
        nginx::quote(value).map_err(minijinja::Error::from)
    });
    environment.set_formatter(|output, _state, value| {
        if let Some(quoted) = value.downcast_object_ref::<nginx::Quoted>() {
            return Ok(write!(output, "{}{}{}", nginx::OPEN, quoted.as_str(), nginx::CLOSE)?);
        }
        match value.kind() {
            ValueKind::Number => Ok(write!(output, "{value}")?),
            // minijinja itself would print `True`, as Python does.
            ValueKind::Bool => Ok(write!(output, "{}", value.is_true())?),
            ValueKind::String => match value.as_str().filter(|text| is_harmless(text)) {
                Some(text) => Ok(output.write_str(text)?),
                None => Err(Refusal::Bare.into()),
            },
            ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
            _ => Err(Refusal::NotAText.into()),
        }
    });
    environment
}

/// Whether a text is the same single word, or part of one, wherever it stands.
fn is_harmless(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte))
}

fn printed(value: &Value) -> Printed {
    match value {
        Value::Text(text) => Printed::from(text.as_str()),
        Value::Number(number) => Printed::from(*number),
        Value::Flag(flag) => Printed::from(*flag),
        Value::Texts(texts) => texts.iter().map(String::as_str).collect(),
    }
}

/// Lines of the template, and what the marks around quoted values are made of.
fn refuse_control_characters(template: &str) -> Result<(), TemplateError> {
    let mut line = 1;
    for character in template.chars() {
        match character {
            '\n' => line += 1,
            '\t' | '\r' => {}
            control if control.is_control() => {
                return Err(TemplateError::ControlCharacter { line });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Sorts minijinja's error and drops its details, which may quote values and lines.
fn sorted(error: &minijinja::Error, candidates: impl FnOnce() -> Vec<String>) -> TemplateError {
    let line = error.line().unwrap_or(0);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(refusal) = this.downcast_ref::<Refusal>() {
            let refusal = *refusal;
            return TemplateError::Refused { line, refusal };
        }
        if this.downcast_ref::<io::Error>().is_some_and(is_full) {
            return TemplateError::OutputTooLarge;
        }
        cause = this.source();
    }
    match error.kind() {
        ErrorKind::UndefinedError => TemplateError::Undefined { line, candidates: candidates() },
        ErrorKind::OutOfFuel => TemplateError::TooMuchWork,
        other => TemplateError::Invalid { line, what: other.to_string() },
    }
}

/// Takes bytes up to the limit, into memory that is reserved once and wiped when dropped.
struct Output(Zeroizing<Vec<u8>>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > OUTPUT_LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

#[cfg(test)]
mod tests;
