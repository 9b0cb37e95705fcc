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
        let ours = self.search_path.iter().position(|place| *place == self.ours);
        let others = self.search_path.iter().enumerate().filter(|(at, _)| Some(*at) != ours);
        let mut files = others.map(|(at, place)| (at, place.join(file)));
        let (at, path) = files.find(|(_, path)| path.symlink_metadata().is_ok())?;
        let hides_ours = ours.is_none_or(|ours| at < ours);
        let relation = if hides_ours { "which hides" } else { "which would be hidden by" };
        Some(format!("`{}`, {relation} a unit", path.to_string_lossy().escape_debug()))
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
