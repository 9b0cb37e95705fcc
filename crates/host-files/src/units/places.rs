//! The directories that a host reads units from, and which of them has a name. Blocks on files.

use std::path::PathBuf;

use super::{UnitFiles, UnitForm};

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

impl<F: UnitForm> UnitFiles<F> {
    /// Returns the store's own directory alone.
    pub(super) fn own_place(&self) -> Places {
        let ours = self.resolved();
        Places { search_path: vec![ours.clone()], ours }
    }

    /// Returns the directories as they are now.
    pub(super) fn places(&self) -> Places {
        let ours = self.resolved();
        Places { search_path: self.form.search_path(&ours), ours }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_is_claimed_by_the_first_other_directory_that_has_it() {
        let root = tempfile::tempdir().unwrap();
        let [before, ours, after] = ["before", "ours", "after"].map(|name| root.path().join(name));
        let search_path = vec![before.clone(), ours.clone(), after.clone()];
        search_path.iter().for_each(|place| fs::create_dir(place).unwrap());
        let places = Places { ours: ours.clone(), search_path };
        fs::write(ours.join("web.json"), "").unwrap();
        assert_eq!(places.claimed("web.json"), None);
        fs::write(after.join("web.json"), "").unwrap();
        let claimed = places.claimed("web.json").unwrap();
        assert!(claimed.ends_with("after/web.json`, which would be hidden by a unit"), "{claimed}");
        std::os::unix::fs::symlink("nowhere", before.join("web.json")).unwrap();
        let claimed = places.claimed("web.json").unwrap();
        assert!(claimed.ends_with("before/web.json`, which hides a unit"), "{claimed}");
    }
}
