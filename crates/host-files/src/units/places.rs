//! The directories that a host reads units from, and which of them has a name. Blocks on files.

use std::path::PathBuf;

use super::UnitForm;
use super::directory::UnitDir;

/// The directories that the host reads units from.
#[derive(Debug)]
pub(super) struct Places {
    /// The directory of the store, without symbolic links.
    pub(super) ours: PathBuf,
    /// All of them, in the host's order.
    pub(super) search_path: Vec<PathBuf>,
}

impl Places {
    /// Returns whose unit a new file named `file` would hide or be hidden by, phrased to precede the path of that
    /// file; `None` if no other directory has an object of this name.
    pub(super) fn claimed(&self, file: &str) -> Option<String> {
        let mut hides_ours = true;
        for place in &self.search_path {
            if *place == self.ours {
                hides_ours = false;
                continue;
            }
            let path = place.join(file);
            if path.symlink_metadata().is_ok() {
                let path = path.to_string_lossy().escape_debug().to_string();
                let relation = if hides_ours { "which hides" } else { "which would be hidden by" };
                return Some(format!("`{path}`, {relation} a unit"));
            }
        }
        None
    }
}

impl<F: UnitForm> UnitDir<F> {
    /// Returns the directories as they are now.
    pub(super) fn places(&self) -> Places {
        let ours = self.resolved();
        Places { search_path: self.form.search_path(&ours), ours }
    }
}
