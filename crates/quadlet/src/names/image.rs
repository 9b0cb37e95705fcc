//! Which texts are unambiguous image references to Podman.

use super::{check_no_reference, invalid};
use crate::error::{Excerpt, Refusal};

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

/// Validates an image reference: `[registry[:port]/]path[:tag][@digest]`, or a full image ID.
///
/// `companion-core` has a narrower grammar, and this crate knows nothing of it: `tests/tests/security/references.rs`
/// compares the two.
pub(crate) fn check_image(reference: &str) -> Result<(), Refusal> {
    if reference.is_empty() {
        return Err(Refusal::Empty);
    }
    check_no_reference(reference)?;
    if let Some((before, _)) = reference.split_once(':')
        && let Some(transport) = TRANSPORTS.into_iter().find(|known| *known == before)
    {
        return Err(Refusal::Transport { value: Excerpt::of(reference), transport });
    }
    if is_image_id(reference) || is_reference(reference) {
        return Ok(());
    }
    Err(invalid(reference, "an image reference such as `registry/path:tag`"))
}

fn is_image_id(reference: &str) -> bool {
    is_lower_hex(reference.strip_prefix("sha256:").unwrap_or(reference), 64)
}

fn is_reference(reference: &str) -> bool {
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    if !digest.is_none_or(is_digest) {
        return false;
    }
    // The tag's colon follows the last slash; an earlier one belongs to the registry's port.
    let path_end = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[path_end..].split_once(':') {
        Some((last, tag)) => (&rest[..path_end + last.len()], Some(tag)),
        None => (rest, None),
    };
    tag.is_none_or(is_tag) && name.len() <= 255 && is_name(name)
}

fn is_name(name: &str) -> bool {
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (Some(first), path),
        _ => (None, name),
    };
    // 64 hexadecimal digits are an ID, not a name.
    let ambiguous = registry.is_none() && is_lower_hex(path, 64);
    !ambiguous && path.split('/').all(is_component)
}

fn is_registry(first: &str) -> bool {
    let (host, port) = match first.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (first, None),
    };
    let port_fits = port
        .is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let distinct = port.is_some() || host.contains('.') || host == "localhost";
    let label = |label: &str| {
        label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && label.starts_with(|c: char| c.is_ascii_alphanumeric())
            && label.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    distinct && port_fits && host.split('.').all(label)
}

/// Lowercase letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = component.split(alphanumeric).filter(|separator| !separator.is_empty());
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && separators
            .into_iter()
            .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| is_lower_hex(hex, 64))
        || digest.strip_prefix("sha512:").is_some_and(|hex| is_lower_hex(hex, 128))
}

fn is_lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
