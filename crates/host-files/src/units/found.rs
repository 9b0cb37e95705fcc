//! What is at a unit's name: whose it is and its state. Pure: works on the file's bytes and status.

use companion_core::model::companion::CompanionName;
use companion_core::model::revision::Revision;
use companion_core::model::unit::UnitFileState;
use durable_dir::{FileContents, FileStatus};

use super::text::is_as_written;
use super::{RenderedUnit, UnitForm};

/// A unit's mode: it holds no secret, and the operator may read it.
pub(super) const UNIT_MODE: u32 = 0o644;

/// What is at the name of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// An unmanaged object, with a description.
    Unmanaged {
        /// The description, for people: `a directory`.
        what: String,
    },
    /// A managed unit file.
    Managed {
        /// The revision that it names.
        revision: Option<Revision>,
        /// Its contents.
        contents: FileContents,
    },
}

impl Found {
    /// Determines the ownership of the file of `name`.
    ///
    /// A file of our user is managed if it carries the ownership label with this very name. A file without contents
    /// (empty or all NUL) is managed as well: a power loss leaves such a file, and rewriting it loses nothing.
    /// Everything else is unmanaged, including random bytes and a file with several hard links.
    pub fn of(form: &impl UnitForm, name: &CompanionName, contents: FileContents) -> Self {
        let unmanaged = |what: &str| Self::Unmanaged { what: what.to_owned() };
        let FileStatus { uid, links, .. } = contents.status;
        if !contents.status.is_ours() {
            return unmanaged(&format!("a file of user {uid}"));
        }
        if links > 1 {
            return unmanaged(&format!("a file with {links} names (hard links)"));
        }
        if is_blank(&contents) {
            return Self::Managed { revision: None, contents };
        }
        // Bytes that are not UTF-8 can follow a valid ownership label.
        let label = form.label(name, &String::from_utf8_lossy(&contents.bytes));
        match label {
            None => unmanaged("a file without the ownership label"),
            Some(label) if label.companion != name.as_str() => {
                unmanaged("a copy of another companion's unit")
            }
            Some(label) => Self::Managed { revision: label.revision, contents },
        }
    }

    /// Returns whether a file carries the ownership label, unlike an empty file.
    pub fn is_labelled(&self) -> bool {
        matches!(self, Self::Managed { contents, .. } if !is_blank(contents))
    }

    /// Returns whether a managed file has contents that this program did not write.
    pub fn is_edited(&self) -> bool {
        self.is_labelled() && matches!(self.state(None), UnitFileState::Drifted { .. })
    }

    /// Returns the restart epoch that a file names; 0 if it names none.
    pub fn restart_epoch(&self) -> u32 {
        match self {
            Self::Managed { revision: Some(revision), .. } => revision.restart_epoch,
            Self::Nothing | Self::Unmanaged { .. } | Self::Managed { .. } => 0,
        }
    }

    /// Compares with the desired unit, rendered under [`restart_epoch`](Self::restart_epoch).
    pub fn state(&self, wanted: Option<&RenderedUnit>) -> UnitFileState {
        let (revision, contents) = match self {
            Self::Nothing => return UnitFileState::Absent,
            Self::Unmanaged { what } => return UnitFileState::Unmanaged { what: what.clone() },
            Self::Managed { revision, contents } => (*revision, contents),
        };
        match wanted {
            Some(RenderedUnit { revision, text }) if is_written(contents, text) => {
                UnitFileState::Current { revision: *revision }
            }
            Some(RenderedUnit { revision, text }) if text.as_bytes() == contents.bytes => {
                UnitFileState::WrongMode { revision: *revision }
            }
            _ => match revision.filter(|revision| is_as_written(&contents.bytes, revision)) {
                Some(revision) => UnitFileState::Outdated { revision },
                None => UnitFileState::Drifted { revision },
            },
        }
    }
}

/// Returns whether a file holds `text` and its mode grants at most [`UNIT_MODE`].
pub(super) fn is_written(contents: &FileContents, text: &str) -> bool {
    text.as_bytes() == contents.bytes && contents.status.mode & !UNIT_MODE == 0
}

fn is_blank(contents: &FileContents) -> bool {
    contents.bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests;
