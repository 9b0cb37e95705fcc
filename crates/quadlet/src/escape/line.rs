//! Values that are read as a whole line: without unquoting or unescaping, they cannot be quoted or escaped either.

use super::{check_semicolon, double_for_command};
use crate::error::Refusal;

/// A value that Quadlet passes to podman as one argument.
///
/// Leading and trailing double quotes are rejected for scalars and lists alike: Podman 5.0 to 5.8.1 strips any number
/// of them from a scalar, later versions one pair.
pub(super) fn argument(value: &str) -> Result<String, Refusal> {
    let spelt = verbatim(value)?;
    if value.starts_with('"') || value.ends_with('"') {
        return Err(Refusal::value(value, "starts or ends with a double quote"));
    }
    check_semicolon(value)?;
    Ok(double_for_command(&spelt))
}

/// A text read by systemd, in which `%` is special and `$` is not.
pub(super) fn text(value: &str) -> Result<String, Refusal> {
    Ok(verbatim(value)?.replace('%', "%%"))
}

/// A value that is written unchanged.
pub(super) fn verbatim(value: &str) -> Result<String, Refusal> {
    if let Some(found) = value.chars().find(|c| c.is_control()) {
        return Err(Refusal::control(value, found));
    }
    if value.starts_with(char::is_whitespace) || value.ends_with(char::is_whitespace) {
        return Err(Refusal::value(value, "starts or ends with a blank"));
    }
    if value.ends_with('\\') {
        return Err(Refusal::value(value, "ends with a backslash"));
    }
    Ok(value.to_owned())
}
