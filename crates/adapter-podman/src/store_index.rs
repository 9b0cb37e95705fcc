//! Whether the image store may have changed since it was last asked, told without asking podman.
//!
//! containers-storage keeps its list of images in one file per store and replaces that file whole
//! at each change (`<graph root>/<driver>-images/images.json`), and so the list of containers. While
//! each of them is the very same file, what was read before is still true. Seen with Podman 5.4:
//! build, pull, tag, untag and rmi replace the first, create and rm the second; run, inspect, info
//! and listings touch neither. A file that is replaced has another inode or, should the number be
//! used again, another time of change. Identities are compared, never ages.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::file_identity::FileIdentity;

/// The most of an index that is read to recognise it, in bytes.
const INDEX_LIMIT: u64 = 16 * 1024 * 1024;

/// What `podman info` says about the store.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Info {
    store: StoreInfo,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoreInfo {
    graph_root: PathBuf,
    graph_driver_name: String,
    run_root: PathBuf,
}

/// The files in which a store lists what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreIndex {
    images: PathBuf,
    containers: Vec<PathBuf>,
    container_directories: PathBuf,
}

/// The state of a store at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreState {
    images: FileIdentity,
    containers: Vec<Option<FileIdentity>>,
}

impl StoreIndex {
    pub(crate) fn of(info: &Info) -> Self {
        let Info { store } = info;
        let below =
            |root: &Path, kind: &str| root.join(format!("{}-{kind}", store.graph_driver_name));
        let graph = below(&store.graph_root, "containers");
        let run = below(&store.run_root, "containers");
        let images = below(&store.graph_root, "images").join("images.json");
        Self {
            images,
            // Volatile are the containers that go with their end, as Quadlet's do; of a transient
            // store, both lists lie in the run root.
            containers: [&graph, &run]
                .iter()
                .flat_map(|d| [d.join("containers.json"), d.join("volatile-containers.json")])
                .collect(),
            container_directories: graph,
        }
    }

    /// The directory with a directory for each container, named by its id; also in a transient store.
    pub(crate) fn container_directories(&self) -> &Path {
        &self.container_directories
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
    use super::*;

    fn index(root: &Path) -> StoreIndex {
        let json = format!(
            r#"{{"host": {{}}, "store": {{"graphRoot": {root:?}, "graphDriverName": "overlay", "runRoot": "/nowhere"}}}}"#
        );
        fs::create_dir_all(root.join("overlay-images")).unwrap();
        StoreIndex::of(&serde_json::from_str(&json).unwrap())
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
