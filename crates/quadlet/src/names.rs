//! Which names Quadlet, Podman and systemd accept as such; independent of escaping.
//!
//! Names are validated before escaping because Quadlet gives some of them a special meaning: `Network=x.network` refers
//! to another unit file, and so do suffixes of images and volumes.

use crate::error::Refusal;

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

/// Transports of containers/image: `dir:x` would be a directory on the host, not the image `dir` with the tag `x`.
const TRANSPORTS: [&str; 11] = [
    "atomic",
    "containers-storage",
    "dir",
    "docker",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "ostree",
    "sif",
    "tarball",
];

/// The kernel's limit for a path, minus its terminating NUL.
const PATH_LIMIT: usize = 4095;

/// Validates an image: an ID or a reference, and neither an option, a path, a transport nor another unit. Podman decides
/// whether the image exists.
pub(crate) fn check_image(image: &str) -> Result<(), Refusal> {
    check_length(image, 512)?;
    check_no_reference(image)?;
    let transport = image.split_once(':').map(|(transport, _)| transport);
    if let Some(transport) = transport.filter(|known| TRANSPORTS.contains(known)) {
        return Err(Refusal::value(image, format!("has the transport `{transport}`")));
    }
    let character = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let is_plain = image.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !is_plain || !image.chars().all(character) || image.contains("//") {
        return Err(invalid(image, "an image reference such as `registry/path:tag`"));
    }
    Ok(())
}

/// Validates an absolute path: without `.` and `..`, which Podman would resolve unexpectedly.
pub(crate) fn check_path(path: &str) -> Result<(), Refusal> {
    check_length(path, PATH_LIMIT)?;
    if !path.starts_with('/') || path.split('/').any(|part| part == "." || part == "..") {
        return Err(invalid(path, "an absolute path without `.` and `..`"));
    }
    Ok(())
}

/// Validates a path that stands between colons.
pub(crate) fn check_path_without_colon(path: &str) -> Result<(), Refusal> {
    check_path(path)?;
    if path.contains(':') { Err(invalid(path, "a path without a colon")) } else { Ok(()) }
}

/// Validates the name of a container, network, secret or volume.
pub(crate) fn check_resource(name: &str) -> Result<(), Refusal> {
    check_length(name, 253)?;
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
        Some(suffix) => {
            let why = format!("ends with `{suffix}`, which refers to another unit");
            Err(Refusal::value(value, why))
        }
        None => Ok(()),
    }
}

/// Validates the name of a network: names with a special meaning for Podman are reserved.
pub(crate) fn check_network(name: &str) -> Result<(), Refusal> {
    check_resource(name)?;
    let modes =
        ["host", "bridge", "none", "private", "default", "slirp4netns", "pasta", "ns", "container"];
    if modes.contains(&name) {
        return Err(reserved(name));
    }
    Ok(())
}

/// Validates the full name of another systemd unit.
pub(crate) fn check_unit(name: &str) -> Result<(), Refusal> {
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
pub(crate) fn check_host(name: &str) -> Result<(), Refusal> {
    check_length(name, 253)?;
    let character = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.starts_with(['-', '.']) || !name.chars().all(character) {
        return Err(invalid(name, "a host name of letters, digits, `.`, `_` and `-`"));
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
        return Err(reserved(name));
    }
    Ok(())
}

fn check_length(value: &str, limit: usize) -> Result<(), Refusal> {
    match value.len() {
        0 => Err(Refusal::empty()),
        bytes if bytes > limit => Err(Refusal::too_long(bytes, limit)),
        _ => Ok(()),
    }
}

fn invalid(value: &str, expected: &str) -> Refusal {
    Refusal::value(value, format!("is not {expected}"))
}

/// A name with a special meaning for Podman, Quadlet or systemd.
pub(crate) fn reserved(name: &str) -> Refusal {
    Refusal::value(name, "is reserved")
}

#[cfg(test)]
mod tests;
