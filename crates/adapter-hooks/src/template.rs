//! Templates: text with values that can never become configuration. Pure.
//!
//! minijinja has no escaping for nginx, so values are rejected by default: a printed value must be harmless in any
//! position (a number, `true`, `false`, or a text of `[A-Za-z0-9_.:/-]` only) or pass through the filter `nginx_quote`.
//! A template without the filter fails at the first value that needs it.
//!
//! There is no include, import or inheritance; an undefined variable is an error; size, work and output are bounded.

use std::collections::{BTreeMap, BTreeSet};
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

/// Why a template, a value or the result was rejected, for people; quotes neither values nor the template's lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// Why a value must not be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("prints a value that {0}")]
struct Refusal(&'static str);

const BARE: Refusal =
    Refusal("is empty or has characters outside `[A-Za-z0-9_.:/-]`; use the filter `nginx_quote`");
const NOT_A_TEXT: Refusal = Refusal("is not a text or a number");

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
        return Err(TemplateError(format!("the template has more than {TEMPLATE_LIMIT} bytes")));
    }
    // They delimit lines and mark quoted values.
    let is_refused = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    if let Some((before, _)) = template.split_once(is_refused) {
        let line = before.matches('\n').count() + 1;
        return Err(TemplateError(format!("line {line} contains a control character")));
    }
    let environment = environment();
    let compiled =
        environment.template_from_str(template).map_err(|error| sorted(&error, BTreeSet::new))?;
    // Bounded, reserved once, and wiped on drop.
    let mut output = Zeroizing::new(vec![0; OUTPUT_LIMIT]);
    let mut rest = output.as_mut_slice();
    let context =
        Printed::from_pairs(values.iter().map(|(name, value)| (name.as_str(), printed(value))));
    compiled.render_captured_to(context, &mut rest).map_err(|error| {
        sorted(&error, || {
            let unknown = compiled.undeclared_variables(false).into_iter();
            unknown.filter(|name| !values.contains_key(name)).collect()
        })
    })?;
    let length = OUTPUT_LIMIT - rest.len();
    let marked = std::str::from_utf8(&output[..length])
        .map_err(|_never_cut| TemplateError("the result is not UTF-8".to_owned()))?;
    if !marked.contains(nginx::OPEN) {
        return Ok(Zeroizing::new(marked.to_owned()));
    }
    nginx::place(marked).map_err(|line| {
        TemplateError(format!(
            "line {line} of the output has a quoted value inside or next to another word: join \
             the parts first and quote the whole, as in `{{{{ (\"a\" ~ b) | nginx_quote }}}}`"
        ))
    })
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
                None => Err(BARE.into()),
            },
            ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
            _ => Err(NOT_A_TEXT.into()),
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

/// Classifies minijinja's error and drops its details, which may quote values and lines. `unknown` are the variables
/// without a value.
fn sorted(error: &minijinja::Error, unknown: impl FnOnce() -> BTreeSet<String>) -> TemplateError {
    let line = error.line().unwrap_or(0);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(refusal) = this.downcast_ref::<Refusal>() {
            return TemplateError(format!("line {line} {refusal}"));
        }
        if this.is::<io::Error>() {
            return TemplateError(format!("the output has more than {OUTPUT_LIMIT} bytes"));
        }
        cause = this.source();
    }
    TemplateError(match error.kind() {
        ErrorKind::UndefinedError => {
            let unknown = unknown();
            format!("line {line} uses a variable without a value, candidates are {unknown:?}")
        }
        ErrorKind::OutOfFuel => "rendering exceeds the work limit".to_owned(),
        other => format!("line {line}: {other}"),
    })
}

#[cfg(test)]
mod tests;
