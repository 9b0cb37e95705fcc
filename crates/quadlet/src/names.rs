//! Which names Quadlet, Podman and systemd accept as such; independent of escaping.
//!
//! Names are validated before escaping because Quadlet gives some of them a special meaning: `Network=x.network` refers
//! to another unit file, and so do suffixes of images and volumes.

mod image;
mod path;

pub(crate) use image::check_image;
pub(crate) use path::check_path;

use std::fmt;

use crate::error::{Excerpt, Refusal};

/// Suffixes by which Quadlet recognises a unit file, in any version so far.
const UNIT_SUFFIXES: [&str; 8] =
    [".container", ".volume", ".network", ".kube", ".image", ".pod", ".build", ".artifact"];

/// Suffixes of systemd's own units.
const SYSTEMD_SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".mount",
    ".automount",
    ".path",
    ".slice",
    ".scope",
    ".device",
    ".swap",
];

/// The name of a `.container` unit, without a suffix.
///
/// Letters, digits, `.`, `_` and `-`, starting with a letter or digit, 1 to 245 bytes so that the file's name stays
/// within 255. No `@`, which makes a template, no `\`, and no unit suffix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(String);

impl UnitName {
    const LIMIT: usize = 245;

    /// Validates a name.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the name is empty, too long, contains another character, or has a unit suffix.
    pub fn new(name: impl Into<String>) -> Result<Self, Refusal> {
        let name = name.into();
        check_resource(&name, Self::LIMIT)?;
        match SYSTEMD_SUFFIXES.into_iter().find(|suffix| name.ends_with(suffix)) {
            Some(suffix) => Err(Refusal::UnitReference { value: Excerpt::of(&name), suffix }),
            None => Ok(Self(name)),
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the file's name, `NAME.container`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.container", self.0)
    }

    /// Returns the name of the generated service, `NAME.service`.
    #[must_use]
    pub fn service(&self) -> String {
        format!("{}.service", self.0)
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Validates the name of a container, network or volume.
pub(crate) fn check_resource(name: &str, limit: usize) -> Result<(), Refusal> {
    check_length(name, limit)?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(word) {
        return Err(invalid(
            name,
            "a name of letters, digits, `.`, `_` and `-` that starts with a letter or digit",
        ));
    }
    check_no_reference(name)
}

/// Rejects a value that Quadlet reads as the name of a unit file.
pub(crate) fn check_no_reference(value: &str) -> Result<(), Refusal> {
    match UNIT_SUFFIXES.into_iter().find(|suffix| value.ends_with(suffix)) {
        Some(suffix) => Err(Refusal::UnitReference { value: Excerpt::of(value), suffix }),
        None => Ok(()),
    }
}

/// Validates the name of a network: names with a special meaning for Podman are reserved.
pub(crate) fn check_network(name: &str) -> Result<(), Refusal> {
    check_resource(name, 255)?;
    let modes =
        ["host", "bridge", "none", "private", "default", "slirp4netns", "pasta", "ns", "container"];
    if modes.contains(&name) {
        return Err(Refusal::Reserved { value: Excerpt::of(name) });
    }
    Ok(())
}

/// Validates the full name of another systemd unit.
pub(crate) fn check_dependency(name: &str) -> Result<(), Refusal> {
    check_length(name, 255)?;
    check_no_reference(name)?;
    let character = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '-' | '@');
    let stem = SYSTEMD_SUFFIXES.into_iter().find_map(|suffix| name.strip_suffix(suffix));
    if stem.is_none_or(str::is_empty)
        || !name.chars().all(character)
        || name.starts_with(['-', '.', '@'])
    {
        return Err(invalid(name, "the name of a systemd unit with its suffix"));
    }
    Ok(())
}

/// Validates the name of an environment variable.
pub(crate) fn check_variable(name: &str) -> Result<(), Refusal> {
    let head = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(head) || !name.chars().all(|c| head(c) || c.is_ascii_digit()) {
        return Err(invalid(name, "a variable name of letters, digits and `_`"));
    }
    Ok(())
}

/// Validates the key of a label: no `=`, which ends it, and no control character.
pub(crate) fn check_label(key: &str) -> Result<(), Refusal> {
    if key.is_empty() || key.chars().any(|c| c == '=' || c.is_control()) {
        return Err(invalid(key, "a label without `=` and control characters"));
    }
    Ok(())
}

/// Validates a host name.
pub(crate) fn check_host(name: &str, limit: usize) -> Result<(), Refusal> {
    check_length(name, limit)?;
    let character = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.starts_with(['-', '.']) || !name.chars().all(character) {
        return Err(invalid(name, "a host name of letters, digits, `.`, `_` and `-`"));
    }
    Ok(())
}

/// Validates a user's or group's name or number.
pub(crate) fn check_user(name: &str) -> Result<(), Refusal> {
    check_length(name, 64)?;
    let head = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(head) || !name.chars().all(|c| head(c) || matches!(c, '.' | '-')) {
        return Err(invalid(name, "a user or group"));
    }
    Ok(())
}

/// Validates the name of a capability, with or without `CAP_`.
pub(crate) fn check_capability(name: &str) -> Result<(), Refusal> {
    check_length(name, 64)?;
    if !name.chars().all(|c| c.is_ascii_alphabetic() || c == '_') {
        return Err(invalid(name, "a capability"));
    }
    Ok(())
}

/// Validates the permissions of a device.
pub(crate) fn check_permissions(letters: &str) -> Result<(), Refusal> {
    let once = |letter: char| letters.matches(letter).count() == 1;
    if letters.is_empty() || !letters.chars().all(|c| matches!(c, 'r' | 'w' | 'm') && once(c)) {
        return Err(invalid(letters, "a choice of `r`, `w` and `m`"));
    }
    Ok(())
}

/// Validates an option of a tmpfs.
pub(crate) fn check_mount_option(option: &str) -> Result<(), Refusal> {
    check_length(option, 255)?;
    let character = |c: char| c.is_ascii_alphanumeric() || matches!(c, '=' | '%' | '.' | '_' | '-');
    if !option.starts_with(|c: char| c.is_ascii_alphabetic()) || !option.chars().all(character) {
        return Err(invalid(option, "a mount option"));
    }
    Ok(())
}

/// Validates an option of `podman run` as `--name=value`, so that it cannot be read as an argument of another one.
pub(crate) fn check_option(option: &str) -> Result<(), Refusal> {
    let part = |c: char| c.is_ascii_lowercase() || c == '-';
    let name = option.strip_prefix("--").and_then(|rest| Some(rest.split_once('=')?.0));
    if !name.is_some_and(|name| {
        name.starts_with(|c: char| part(c) && c != '-') && name.chars().all(part)
    }) {
        return Err(invalid(option, "an option in the form `--name=value`"));
    }
    Ok(())
}

/// Validates the name of an extension section or key.
pub(crate) fn check_extension(name: &str) -> Result<(), Refusal> {
    check_length(name, 255)?;
    let character = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(character) {
        return Err(invalid(name, "a name of letters, digits and `-`"));
    }
    Ok(())
}

/// Validates the name of an extension section: Quadlet renames its own sections to `X-…`, and would merge one of ours
/// into them.
pub(crate) fn check_section(name: &str) -> Result<(), Refusal> {
    check_extension(name)?;
    let own =
        ["Container", "Volume", "Network", "Kube", "Image", "Pod", "Build", "Artifact", "Quadlet"];
    if own.contains(&name) {
        return Err(Refusal::Reserved { value: Excerpt::of(name) });
    }
    Ok(())
}

fn check_length(value: &str, limit: usize) -> Result<(), Refusal> {
    match value.len() {
        0 => Err(Refusal::Empty),
        bytes if bytes > limit => Err(Refusal::TooLong { bytes, limit }),
        _ => Ok(()),
    }
}

fn invalid(value: &str, expected: &'static str) -> Refusal {
    Refusal::Invalid { value: Excerpt::of(value), expected }
}

#[cfg(test)]
mod tests;
