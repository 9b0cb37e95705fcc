//! Input files of hooks: bounded, read without blocking, and wiped after use.

use std::path::Path;

use companion_core::model::container::AbsolutePath;
use durable_dir::{Trust, read_file};
use zeroize::Zeroizing;

use crate::error::HookError;
use crate::template::TEMPLATE_LIMIT;

/// Maximum size of an input in bytes.
pub(crate) const INPUT_LIMIT: usize = 64 * 1024;

/// Reads a secret from the file at `path`, without the trailing newline.
///
/// The file may be below another service's directory, but a symbolic link on the path must belong to us or to root. At
/// most 64 KiB. The text is wiped on drop.
///
/// # Errors
/// [`HookError::NotReady`] if the file is missing or empty, [`HookError::Failed`] if it is not UTF-8 or
/// cannot be read.
pub fn read_secret(path: impl AsRef<Path>) -> Result<Zeroizing<String>, HookError> {
    let path = path.as_ref();
    let shown = path.display().to_string().escape_debug().to_string();
    let bytes = read_secret_bytes(path)?.ok_or_else(|| missing(&shown))?;
    let text = std::str::from_utf8(&bytes).map_err(|_where_it_is_not| not_text(&shown))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(HookError::NotReady { waiting_for: format!("`{shown}`, which is empty") });
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Reads all bytes of a file that holds a secret; `None` if the file is missing.
///
/// # Errors
/// [`HookError::Failed`] if the file cannot be read or is too large.
pub fn read_secret_bytes(path: impl AsRef<Path>) -> Result<Option<Zeroizing<Vec<u8>>>, HookError> {
    read_file(path, INPUT_LIMIT, Trust::AnyOwner)
        .map(|found| found.map(|contents| Zeroizing::new(contents.bytes)))
        .map_err(HookError::input)
}

/// As [`read_secret_bytes`], for a required input.
pub(crate) fn require(path: &AbsolutePath) -> Result<Zeroizing<Vec<u8>>, HookError> {
    read_secret_bytes(path.as_path())?.ok_or_else(|| missing(path.as_str()))
}

/// Reads a template, which determines what a companion serves: the file and its directories must belong to us or to
/// root, and others must not have write access.
pub(crate) fn require_template(path: &AbsolutePath) -> Result<String, HookError> {
    let found = read_file(path.as_path(), TEMPLATE_LIMIT, Trust::Owned)
        .map_err(HookError::input)?
        .ok_or_else(|| missing(path.as_str()))?;
    String::from_utf8(found.bytes).map_err(|_where_it_is_not| not_text(path.as_str()))
}

fn missing(path: &str) -> HookError {
    HookError::NotReady { waiting_for: format!("`{path}`, which does not exist") }
}

fn not_text(path: &str) -> HookError {
    HookError::invalid(format!("input `{path}` is not UTF-8"))
}
