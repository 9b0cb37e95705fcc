//! Detects changes of the image store without calling podman.
//!
//! containers-storage keeps its list of images in one file per store and replaces that file atomically at each change
//! (`<graph root>/<driver>-images/images.json`); the same holds for the list of containers. While both files are
//! unchanged, cached answers are valid. Observed with Podman 5.4: build, pull, tag, untag and rmi replace the first,
//! create and rm the second; run, inspect, info and listings touch neither. A replaced file has another inode or, if
//! the number is reused, another change time. Identities are compared, never ages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use companion_core::model::image::ImageId;
use companion_core::ports::PortErrorKind;
use image_source::text::path_shown;
use image_source::{EngineResult, FileIdentity};
use rustix::fs::syncfs;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error;

/// Maximum size of a list that is read, in bytes.
const INDEX_LIMIT: u64 = 16 * 1024 * 1024;

/// The index files of a store: the output of `podman info` about it, and Podman's version.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StoreIndex {
    store: StoreInfo,
    #[serde(default)]
    version: VersionInfo,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct VersionInfo {
    #[serde(rename = "Version")]
    version: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoreInfo {
    graph_root: PathBuf,
    graph_driver_name: String,
    #[serde(default)]
    graph_options: Option<BTreeMap<String, Value>>,
    run_root: PathBuf,
    /// Where builds and pulls put temporary files: `image_copy_tmp_dir` of containers.conf(5).
    #[serde(default)]
    image_copy_tmp_dir: Option<PathBuf>,
}

/// An image in the index.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct IndexedImage {
    pub(crate) id: ImageId,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) names_history: Option<Vec<String>>,
}

/// A container in one of the lists of containers.
#[derive(Debug, Clone, Deserialize)]
struct IndexedContainer {
    id: String,
    names: Vec<String>,
    #[serde(default)]
    metadata: String,
    /// In the form of RFC 3339.
    created: String,
}

/// The state of a store at a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreState {
    images: FileIdentity,
    containers: Vec<Option<FileIdentity>>,
}

impl StoreIndex {
    fn below(&self, root: &Path, kind: &str) -> PathBuf {
        root.join(format!("{}-{kind}", self.store.graph_driver_name))
    }

    /// Returns the path of the list of images.
    pub(crate) fn list_of_images(&self) -> PathBuf {
        self.below(&self.store.graph_root, "images").join("images.json")
    }

    /// Returns the directory of the containers' directories, which are named by ID; also in a transient store.
    pub(crate) fn container_directories(&self) -> PathBuf {
        self.below(&self.store.graph_root, "containers")
    }

    /// Returns the paths of the lists of containers. Volatile containers are removed when they stop, as Quadlet's are; a
    /// transient store keeps both lists in the run root.
    fn lists_of_containers(&self) -> impl Iterator<Item = PathBuf> {
        let run = self.below(&self.store.run_root, "containers");
        [self.container_directories(), run].into_iter().flat_map(|directory| {
            ["containers.json", "volatile-containers.json"].map(|list| directory.join(list))
        })
    }

    /// Returns the directories of images; each may be on another file system.
    fn layers(&self) -> impl Iterator<Item = PathBuf> {
        let separate = self.other_stores().filter(|(name, _)| name.ends_with("imagestore"));
        let separate = separate.filter_map(|(_, value)| Some(PathBuf::from(value.as_str()?)));
        let roots = std::iter::once(self.store.graph_root.clone()).chain(separate);
        roots.flat_map(|root| {
            let lists = ["images", "layers"].map(|kind| self.below(&root, kind));
            [root.join(&self.store.graph_driver_name), root].into_iter().chain(lists)
        })
    }

    /// Returns the options that name a separate image store, as in `overlay.imagestore`, or additional ones, as in
    /// `overlay.additionalimagestores`.
    fn other_stores(&self) -> impl Iterator<Item = (&String, &Value)> {
        let options = self.store.graph_options.iter().flatten();
        options.filter(|(name, _)| name.to_lowercase().contains("imagestore"))
    }

    /// Returns whether there are images outside of the index.
    pub(crate) fn has_others(&self) -> bool {
        self.other_stores().next().is_some()
    }

    /// Returns the directory for the temporary files of builds and pulls, if podman has one.
    pub(crate) fn temporary(&self) -> Option<&Path> {
        self.store.image_copy_tmp_dir.as_deref().filter(|place| place.is_absolute())
    }

    /// Returns whether the podman that reported the store has at least this version; `false` if it did not report one.
    pub(crate) fn podman_is_at_least(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.version.version.split('.').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten().unwrap_or_default();
        (next(), next()) >= (major, minor)
    }

    /// Writes the file systems of the images to the disk. Blocks.
    pub(crate) fn sync(&self) -> EngineResult<()> {
        let mut synced = BTreeSet::new();
        for directory in self.layers() {
            let failed = |error| {
                let store = path_shown(&directory);
                let message = format!("failed to write the image store `{store}` to the disk");
                error::of_the_host(PortErrorKind::Transient, message, error)
            };
            let opened = match File::open(&directory) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(failed)?,
            };
            if synced.insert(opened.metadata().map_err(failed)?.dev()) {
                syncfs(&opened).map_err(|error| failed(error.into()))?;
            }
        }
        Ok(())
    }

    /// Returns the current state; `None` if the index is missing.
    pub(crate) fn state(&self) -> Option<StoreState> {
        Some(StoreState {
            images: FileIdentity::of(&self.list_of_images())?,
            containers: self.lists_of_containers().map(|path| FileIdentity::of(&path)).collect(),
        })
    }

    /// Returns whether this is the index of the store with the images `ids`.
    ///
    /// With a separate or additional image store, the graph root's own index never changes; the right index names every
    /// image that podman listed. Without any image the answer is `false`.
    pub(crate) fn names_all<'a>(&self, mut ids: impl Iterator<Item = &'a str>) -> bool {
        let Some(index) = read(&self.list_of_images()) else { return false };
        let mut any = false;
        ids.all(|id| {
            any = true;
            index.contains(id)
        }) && any
    }

    /// Returns the images in the index, without invalid entries; none without an index.
    pub(crate) fn images(&self) -> Vec<IndexedImage> {
        entries(&self.list_of_images())
    }

    /// Returns the nameless images without a manifest. A podman that is killed while it commits an image leaves one;
    /// a running one has one for a moment.
    pub(crate) fn unfinished_images(&self) -> Vec<ImageId> {
        let directory = self.below(&self.store.graph_root, "images");
        let is_unfinished = |image: &IndexedImage| {
            let manifest = directory.join(image.id.as_str()).join("manifest");
            image.names.as_ref().is_none_or(Vec::is_empty) && !manifest.exists()
        };
        self.images().into_iter().filter(is_unfinished).map(|image| image.id).collect()
    }

    /// Returns the working containers of builds that were made since `began` and have no description. buildah writes one
    /// immediately, and can use no container without; but it does not sync the directory of the description.
    pub(crate) fn undescribed_containers(&self, began: SystemTime) -> BTreeSet<String> {
        let directories = self.container_directories();
        let is_undescribed = |container: &IndexedContainer| {
            let userdata = directories.join(&container.id).join("userdata");
            let created = humantime::parse_rfc3339(&container.created);
            // Podman's own containers have metadata.
            is_id(&container.id)
                && container.metadata.is_empty()
                && container.names.iter().any(|name| is_working_container(name))
                && created.is_ok_and(|created| created >= began)
                && match fs::metadata(userdata.join("buildah.json")) {
                    Ok(data) => data.len() == 0,
                    Err(error) => error.kind() == ErrorKind::NotFound,
                }
        };
        let lists = self.lists_of_containers();
        let containers = lists.flat_map(|list| entries::<IndexedContainer>(&list));
        containers.filter(is_undescribed).map(|container| container.id).collect()
    }
}

/// Returns whether this is an ID of a container, in the form of directory names.
pub(crate) fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Returns whether buildah named a container so: `<image>-working-container`, with a number if there are several.
fn is_working_container(name: &str) -> bool {
    let name = match name.rsplit_once('-') {
        Some((name, number)) if number.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => name,
    };
    name.ends_with("-working-container")
}

/// Returns the valid entries of a list; none if it is missing or too large.
fn entries<T: DeserializeOwned>(list: &Path) -> Vec<T> {
    let entries = read(list).and_then(|text| serde_json::from_str(&text).ok());
    let entries: Vec<Value> = entries.unwrap_or_default();
    entries.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect()
}

fn read(list: &Path) -> Option<String> {
    let is_small = fs::metadata(list).ok()?.len() <= INDEX_LIMIT;
    is_small.then(|| fs::read_to_string(list).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(root: &Path) -> StoreIndex {
        let json = format!(
            r#"{{"host": {{}}, "store": {{"graphRoot": {root:?}, "graphDriverName": "overlay", "runRoot": "/nowhere"}}}}"#
        );
        fs::create_dir_all(root.join("overlay-images")).unwrap();
        serde_json::from_str(&json).unwrap()
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
        let replaced = index.state().unwrap();
        assert_ne!(replaced, before);
        fs::create_dir(root.path().join("overlay-containers")).unwrap();
        fs::write(root.path().join("overlay-containers/volatile-containers.json"), "[]").unwrap();
        assert_ne!(index.state(), Some(replaced), "a container came");
    }

    #[test]
    fn a_nameless_image_without_a_manifest_is_unfinished() {
        let root = tempfile::tempdir().unwrap();
        let index = index(root.path());
        assert!(index.unfinished_images().is_empty());
        let [whole, unfinished, named] = ['a', 'b', 'c'].map(|digit| digit.to_string().repeat(64));
        let images = root.path().join("overlay-images");
        fs::create_dir(images.join(&whole)).unwrap();
        fs::write(images.join(&whole).join("manifest"), "{}").unwrap();
        let text = format!(
            r#"[7, {{"id": "{whole}"}}, {{"id": "{unfinished}", "names": [], "names-history": ["x-tmp:latest"]}},
                {{"id": "{named}", "names": ["localhost/x:latest"]}}]"#
        );
        fs::write(images.join("images.json"), text).unwrap();
        assert_eq!(index.images().len(), 3);
        assert_eq!(index.unfinished_images(), [ImageId::new(&unfinished).unwrap()]);
    }

    #[test]
    fn a_working_container_without_a_description_is_found_by_its_time() {
        let root = tempfile::tempdir().unwrap();
        let index = index(root.path());
        let directory = root.path().join("overlay-containers");
        let time = |text| humantime::parse_rfc3339(text).unwrap();
        let began = time("2026-11-29T11:00:00Z");
        let found = |name: &str, created: &str, metadata: &str, description: Option<&str>| {
            let id = "a".repeat(64);
            let userdata = directory.join(&id).join("userdata");
            fs::create_dir_all(&userdata).unwrap();
            match description {
                Some(text) => fs::write(userdata.join("buildah.json"), text).unwrap(),
                None => drop(fs::remove_file(userdata.join("buildah.json"))),
            }
            // Written by Podman 5.4.2, shortened.
            let text = format!(
                r#"[7, {{"id":"{id}","names":["{name}"],"metadata":"{metadata}","created":"{created}"}}]"#
            );
            fs::write(directory.join("volatile-containers.json"), text).unwrap();
            !index.undescribed_containers(began).is_empty()
        };
        let meanwhile = "2026-11-29T11:59:52.853525644Z";
        assert!(found("base-working-container", meanwhile, "", None));
        assert!(found("base-working-container-12", meanwhile, "", Some("")), "an empty file");
        assert!(!found("base-working-container", meanwhile, "", Some("{}")));
        assert!(!found("base-working-container", "2026-11-29T10:59:59Z", "", None));
        assert!(!found("base-working-container", meanwhile, "{}", None), "a container of Podman");
        assert!(!found("archy-lnd-ui", meanwhile, "", None));
        assert!(!found("base-working-container", "yesterday", "", None));
    }

    #[test]
    fn versions_are_compared_by_number() {
        let root = tempfile::tempdir().unwrap();
        for (version, expected) in [
            ("4.4.0", false),
            ("4.6.2", false),
            ("4.7.0", true),
            ("5.0.0-rc1", true),
            ("10.1", true),
            ("", false),
        ] {
            let version_info = VersionInfo { version: version.to_owned() };
            let index = StoreIndex { version: version_info, ..index(root.path()) };
            assert_eq!(index.podman_is_at_least(4, 7), expected, "{version}");
        }
    }
}
