//! Values that are read as a whole line: without unquoting or unescaping, they cannot be quoted or escaped either.

use super::{Refusal, check_semicolon, double_for_command};

/// Suffixes by which Quadlet recognises a unit file, in any version so far.
const UNITS: [&str; 8] =
    [".container", ".volume", ".network", ".kube", ".image", ".pod", ".build", ".artifact"];

/// An argument that is neither an option nor the name of a unit file, alone or before a colon.
pub(super) fn name(value: &str) -> Result<String, Refusal> {
    let is_unit = |part: &str| UNITS.iter().any(|suffix| part.ends_with(suffix));
    let is_path = value.starts_with('/');
    if !is_path && (is_unit(value) || value.split_once(':').is_some_and(|(name, _)| is_unit(name)))
    {
        return Err(Refusal::new(value, "refers to another unit"));
    }
    if value.starts_with('-') {
        return Err(Refusal::new(value, "is an option"));
    }
    argument(value)
}

/// A value that Quadlet passes to podman as one argument.
///
/// Leading and trailing double quotes are rejected for scalars and lists alike: Podman 5.0 to 5.8.1 strips any number
/// of them from a scalar, later versions one pair.
pub(super) fn argument(value: &str) -> Result<String, Refusal> {
    let spelt = verbatim(value)?;
    if value.starts_with('"') || value.ends_with('"') {
        return Err(Refusal::new(value, "starts or ends with a double quote"));
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
        return Err(Refusal::new(value, "starts or ends with a blank"));
    }
    if value.ends_with('\\') {
        return Err(Refusal::new(value, "ends with a backslash"));
    }
    Ok(value.to_owned())
}
