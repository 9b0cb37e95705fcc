//! Templates: text with values that can never become configuration. Pure.
//!
//! minijinja has no escaping for nginx, so values are rejected by default: a printed value must be harmless in any
//! position (a number, `true`, `false`, or a text of `[A-Za-z0-9_.:/-]` only) or pass through the filter `nginx_quote`.
//! A template without the filter fails at the first value that needs it.
//!
//! There is no include, import or inheritance; an undefined variable is an error; size, work and output are bounded.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value as Printed, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use zeroize::{Zeroize as _, Zeroizing};

mod nginx;

/// Maximum size of a template in bytes.
pub const TEMPLATE_LIMIT: usize = 64 * 1024;
/// Maximum size of a rendering in bytes.
pub const OUTPUT_LIMIT: usize = 256 * 1024;
/// Limit on work and memory of one rendering: about one unit per step and per 64 bytes.
const FUEL: u64 = 200_000;

/// The values of a template by name.
pub type Values = BTreeMap<String, Value>;

/// A value of a template. It may be a secret: `Debug` shows only its type, and texts are wiped on drop. (minijinja's
/// own copies during rendering are freed but not wiped.)
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

/// Why rendering a template failed; quotes neither values nor the template's lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template is larger than [`TEMPLATE_LIMIT`].
    #[error("the template has more than {TEMPLATE_LIMIT} bytes")]
    TooLarge,
    /// The template contains a control character other than tab and newline.
    #[error("line {line} contains a control character")]
    ControlCharacter {
        /// The template's line, from 1.
        line: usize,
    },
    /// A variable of the template has no value.
    #[error("line {line} uses a variable without a value, candidates are {candidates:?}")]
    Undefined {
        /// The template's line, from 1.
        line: usize,
        /// All undefined variables of the template, sorted.
        candidates: Vec<String>,
    },
    /// A value must not be printed unquoted.
    #[error("line {line} prints a value that {refusal}")]
    Refused {
        /// The template's line, from 1.
        line: usize,
        /// The reason.
        refusal: Refusal,
    },
    /// A value quoted by `nginx_quote` is inside quotes or inside another word.
    #[error(
        "line {line} of the output has a quoted value inside or next to another word: \
         join the parts first and quote the whole, as in `{{{{ (\"a\" ~ b) | nginx_quote }}}}`"
    )]
    Misplaced {
        /// The line of the rendered text, from 1.
        line: usize,
    },
    /// The output exceeds [`OUTPUT_LIMIT`].
    #[error("the output has more than {OUTPUT_LIMIT} bytes")]
    OutputTooLarge,
    /// Rendering takes too many steps or too much memory.
    #[error("rendering exceeds the work limit")]
    TooMuchWork,
    /// Any other error of minijinja: a syntax error, an unknown filter.
    #[error("line {line}: {what}")]
    Invalid {
        /// The template's line, from 1; 0 if unknown.
        line: usize,
        /// minijinja's description of the error.
        what: String,
    },
}

/// Why a value must not be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A text with characters that could end a word.
    #[error("is empty or has characters outside `[A-Za-z0-9_.:/-]`; use the filter `nginx_quote`")]
    Bare,
    /// A list, a map, nothing, or bytes.
    #[error("is not a text or a number")]
    NotAText,
    /// A `$`.
    #[error("contains a `$`, which nginx cannot escape")]
    Dollar,
    /// A line break or another control character.
    #[error("contains a control character, which nginx cannot escape")]
    ControlCharacter,
    /// Longer than nginx reads as one word.
    #[error("is longer than {} bytes", nginx::VALUE_LIMIT)]
    TooLong,
}

impl From<Refusal> for minijinja::Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::InvalidOperation, "refused").with_source(refusal)
    }
}

/// Renders `template` with `values`.
///
/// The result is wiped on drop.
///
/// # Errors
/// [`TemplateError`] if the template, a value or the result is rejected.
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
    // A configuration file ends with a newline, like its template.
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

/// Returns whether a text is a single word, or part of one, in any position.
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

/// Rejects control characters, which delimit lines and mark quoted values.
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

/// Classifies minijinja's error and drops its details, which may quote values and lines.
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

/// A bounded buffer that is reserved once and wiped on drop.
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
