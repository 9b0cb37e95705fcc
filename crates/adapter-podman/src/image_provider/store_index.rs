//! Whether the image store may have changed since it was last asked, told without asking podman.
//!
//! containers-storage keeps its list of images in one file per store and replaces that file whole
//! at each change (`<graph root>/<driver>-images/images.json`), and so the list of containers. While
//! each of them is the very same file, what was read before is still true. Seen with Podman 5.4:
//! build, pull, tag, untag and rmi replace the first, create and rm the second; run, inspect, info
//! and listings touch neither. That is as true for the next process as for this one: a file that is
//! replaced has another inode or, should the number be used again, another time of change. Identities
//! are compared; age decides only whether a state can be remembered beyond this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::file_identity::FileIdentity;

/// The most of an index that is read to recognise it, in bytes.
const INDEX_LIMIT: u64 = 16 * 1024 * 1024;

/// What `podman info` says about the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Info {
    store: StoreInfo,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoreInfo {
    graph_root: PathBuf,
    graph_driver_name: String,
    run_root: PathBuf,
}

/// The files in which a store lists what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreIndex {
    info: Info,
    images: PathBuf,
    containers: Vec<PathBuf>,
}

/// The state of a store at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreState {
    images: FileIdentity,
    containers: Vec<Option<FileIdentity>>,
}

impl StoreState {
    /// Whether the store had stood unchanged for `margin` at `moment`.
    pub(crate) fn was_settled(&self, moment: SystemTime, margin: Duration) -> bool {
        let files = self.containers.iter().flatten().chain([&self.images]);
        files.into_iter().all(|file| file.was_settled(moment, margin))
    }
}

impl StoreIndex {
    pub(crate) fn of(info: Info) -> Self {
        let Info { store } = &info;
        let below =
            |root: &Path, kind: &str| root.join(format!("{}-{kind}", store.graph_driver_name));
        let graph = below(&store.graph_root, "containers");
        let run = below(&store.run_root, "containers");
        let images = below(&store.graph_root, "images").join("images.json");
        Self {
            info,
            images,
            // Volatile are the containers that go with their end, as Quadlet's do; of a transient
            // store, both lists lie in the run root.
            containers: [graph, run]
                .iter()
                .flat_map(|d| [d.join("containers.json"), d.join("volatile-containers.json")])
                .collect(),
        }
    }

    /// What podman said of the store.
    pub(crate) fn info(&self) -> &Info {
        &self.info
    }

    /// The state now; `None` when there is no such index, so that nothing can be told from it.
    pub(crate) fn state(&self) -> Option<StoreState> {
        Some(StoreState {
            images: FileIdentity::of(&self.images)?,
            containers: self.containers.iter().map(|path| FileIdentity::of(path)).collect(),
        })
    }

    /// Whether this really is the index of the store that has the images `ids`.
    ///
    /// With a separate image store or additional ones, the graph root's own index never changes; it
    /// is recognised by naming every image that podman named. No image proves nothing.
    pub(crate) fn names_all<'a>(&self, mut ids: impl Iterator<Item = &'a str>) -> bool {
        let small = fs::metadata(&self.images).is_ok_and(|data| data.len() <= INDEX_LIMIT);
        let Some(index) = small.then(|| fs::read_to_string(&self.images).ok()).flatten() else {
            return false;
        };
        let mut any = false;
        ids.all(|id| {
            any = true;
            index.contains(id)
        }) && any
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn index(root: &Path) -> StoreIndex {
        let json = format!(
            r#"{{"host": {{}}, "store": {{"graphRoot": {root:?}, "graphDriverName": "overlay", "runRoot": "/nowhere"}}}}"#
        );
        fs::create_dir_all(root.join("overlay-images")).unwrap();
        StoreIndex::of(serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn a_replaced_index_is_another_state_and_an_untouched_one_the_same() {
        let root = tempfile::tempdir().unwrap();
        let index = index(root.path());
        assert_eq!(index.state(), None);
        let file = root.path().join("overlay-images/images.json");
        fs::write(&file, "[]").unwrap();
        let before = index.state().unwrap();
        assert_eq!(index.state(), Some(before.clone()));
        fs::write(root.path().join("new"), "[]").unwrap();
        fs::rename(root.path().join("new"), &file).unwrap();
        assert_ne!(index.state(), Some(before));
    }

    #[test]
    fn a_container_that_comes_or_goes_is_another_state() {
        let root = tempfile::tempdir().unwrap();
        let index = index(root.path());
        fs::write(root.path().join("overlay-images/images.json"), "[]").unwrap();
        let before = index.state().unwrap();
        fs::create_dir(root.path().join("overlay-containers")).unwrap();
        fs::write(root.path().join("overlay-containers/volatile-containers.json"), "[]").unwrap();
        assert_ne!(index.state(), Some(before));
    }

    #[test]
    fn a_store_is_settled_when_the_last_of_its_files_is() {
        let root = tempfile::tempdir().unwrap();
        let index = index(root.path());
        let images = root.path().join("overlay-images/images.json");
        fs::write(&images, "[]").unwrap();
        let changed = |path: &Path| {
            let data = fs::metadata(path).unwrap();
            let (seconds, nanoseconds) = (data.ctime(), data.ctime_nsec());
            let since = Duration::new(seconds.try_into().unwrap(), nanoseconds.try_into().unwrap());
            SystemTime::UNIX_EPOCH + since
        };
        let then = changed(&images);
        assert!(index.state().unwrap().was_settled(then, Duration::ZERO));
        let containers = root.path().join("overlay-containers/containers.json");
        fs::create_dir(root.path().join("overlay-containers")).unwrap();
        // Until the clock of the file system has ticked, the two have one time.
        while !containers.exists() || changed(&containers) == then {
            fs::write(&containers, "[]").unwrap();
        }
        let state = index.state().unwrap();
        assert!(!state.was_settled(then, Duration::ZERO));
        assert!(state.was_settled(changed(&containers), Duration::ZERO));
    }

    #[test]
    fn an_index_that_does_not_name_every_image_is_not_the_store_s() {
        let root = tempfile::tempdir().unwrap();
        let index = index(root.path());
        assert!(!index.names_all(["aa"].into_iter()));
        fs::write(root.path().join("overlay-images/images.json"), r#"[{"id":"aa"}]"#).unwrap();
        assert!(index.names_all(["aa"].into_iter()));
        assert!(!index.names_all(["aa", "bb"].into_iter()));
        assert!(!index.names_all([].into_iter()), "no image proves nothing");
    }
}
