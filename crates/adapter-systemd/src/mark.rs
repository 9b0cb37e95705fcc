//! Ownership and state of a unit file. Pure: works on the file's bytes and status.

use companion_core::model::companion::CompanionName;
use companion_core::model::revision::Revision;
use companion_core::model::unit::UnitFileState;
use durable_dir::{FileContents, FileStatus};
use quadlet::extension_value;

use crate::rendering::{RenderedUnit, is_as_written};
use crate::unit_text::{MARK_NAME, MARK_REVISION, MARK_SECTION};

/// A unit's mode: it holds no secret, and the operator may read it.
pub(crate) const UNIT_MODE: u32 = 0o644;

/// The ownership of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// Managed, by its ownership label or because it is empty; with the revision that it names.
    Ours { revision: Option<Revision> },
    /// Unmanaged, with a description.
    Unmanaged { what: String },
}

/// Determines the ownership of the file of `name`.
///
/// A file of our user is managed if it carries the ownership label with this very name, or the previous manager's
/// description, whose prefix is `legacy`. A file without contents (empty or all NUL) is managed as well: a power loss
/// leaves such a file, and rewriting it loses nothing. Everything else is unmanaged, including random bytes and a file
/// with several hard links.
pub(crate) fn ownership(
    name: &CompanionName,
    contents: &FileContents,
    legacy: Option<&str>,
) -> Ownership {
    let unmanaged = |what: &str| Ownership::Unmanaged { what: what.to_owned() };
    let FileStatus { uid, links, .. } = contents.status;
    if !contents.status.is_ours() {
        return unmanaged(&format!("a file of user {uid}"));
    }
    if links > 1 {
        return unmanaged(&format!("a file with {links} names (hard links)"));
    }
    if contents.bytes.iter().all(|byte| *byte == 0) {
        return Ownership::Ours { revision: None };
    }
    // Bytes that are not UTF-8 can follow a valid ownership label.
    let text = String::from_utf8_lossy(&contents.bytes);
    if let Some(marked) = extension_value(&text, MARK_SECTION, MARK_NAME) {
        if marked != name.as_str() {
            return unmanaged("a copy of another companion's unit");
        }
        let revision = extension_value(&text, MARK_SECTION, MARK_REVISION);
        return Ownership::Ours { revision: revision.and_then(|text| text.parse().ok()) };
    }
    let of_predecessor = legacy.is_some_and(|prefix| {
        let description = extension_value(&text, "Unit", "Description");
        description.is_some_and(|text| text.strip_prefix(prefix) == Some(name.as_str()))
    });
    if of_predecessor {
        return Ownership::Ours { revision: None };
    }
    unmanaged("a file without the ownership label")
}

/// Returns whether the file carries the ownership label, unlike an empty file.
pub(crate) fn is_marked(
    name: &CompanionName,
    contents: &FileContents,
    legacy: Option<&str>,
) -> bool {
    let blank = contents.bytes.iter().all(|byte| *byte == 0);
    !blank && matches!(ownership(name, contents, legacy), Ownership::Ours { .. })
}

/// Compares a file with the desired unit: `wanted` renders the unit under the given restart epoch.
pub(crate) fn compared(
    ownership: Ownership,
    contents: &FileContents,
    wanted: impl FnOnce(u32) -> Option<RenderedUnit>,
) -> UnitFileState {
    let revision = match ownership {
        Ownership::Unmanaged { what } => return UnitFileState::Unmanaged { what },
        Ownership::Ours { revision } => revision,
    };
    let restart_epoch = revision.map_or(0, |revision| revision.restart_epoch);
    match wanted(restart_epoch) {
        Some(RenderedUnit { revision, text }) if is_written(contents, &text) => {
            UnitFileState::Current { revision }
        }
        Some(RenderedUnit { revision, text }) if text.as_bytes() == contents.bytes => {
            UnitFileState::WrongMode { revision }
        }
        _ => match revision.filter(|revision| is_as_written(&contents.bytes, revision)) {
            Some(revision) => UnitFileState::Outdated { revision },
            None => UnitFileState::Drifted { revision },
        },
    }
}

/// Returns whether a file holds `text` and its mode grants at most [`UNIT_MODE`].
pub(crate) fn is_written(contents: &FileContents, text: &str) -> bool {
    text.as_bytes() == contents.bytes && contents.status.mode & !UNIT_MODE == 0
}

#[cfg(test)]
mod tests;
