//! Unit stores in a temporary directory.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use companion_conformance::Arranged;
use companion_conformance::unit_store::UnitStoreWorld;
use companion_core::model::companion::CompanionName;
use companion_core::model::container::ContainerSpec;
use companion_core::model::image::ImageId;
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore;

use super::{obey_modes, set_mode};

pub(crate) use json_units::Json;
pub(crate) use quadlet_units::Quadlet;

mod json_units;
mod quadlet_units;

/// The validator's file; without it units cannot be validated.
const JUDGE: &str = "podman-user-generator";

/// A kind of unit store on a directory, with a validator that rejects the units whose names are files in `refused`.
pub(crate) trait Kind: Send + Sync + 'static {
    type Store: UnitStore + Clone + 'static;

    /// The extension of the unit files.
    const EXTENSION: &'static str;
    /// A valid unit without the ownership label.
    const UNMANAGED: &'static str;
    /// A part of the text of every unit, and what an edit makes of it.
    const EDIT: [&'static str; 2];

    /// Opens a store on `units`, with the validator's files in `root`.
    fn open(units: &Path, root: &Path) -> Self::Store;
    /// Changes the text of every unit that `store` renders.
    fn change_renderer(store: &Self::Store);
    /// Adds a drop-in to the unit with the file `unit`.
    fn drop_in(unit: &Path) -> Arranged;
}

pub(crate) struct Units<K: Kind> {
    store: K::Store,
    root: tempfile::TempDir,
}

impl<K: Kind> Units<K> {
    pub(crate) fn new() -> Self {
        obey_modes();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("refused")).unwrap();
        Self { store: K::open(&root.path().join("containers/systemd"), root.path()), root }
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("containers/systemd")
    }

    fn file(&self, name: &CompanionName) -> PathBuf {
        self.directory().join(format!("{name}.{}", K::EXTENSION))
    }

    /// The file of `name`, in a directory that exists by now.
    fn made(&self, name: &CompanionName) -> PathBuf {
        fs::create_dir_all(self.directory()).unwrap();
        self.file(name)
    }
}

impl<K: Kind> Drop for Units<K> {
    fn drop(&mut self) {
        // A read-only directory could not be removed.
        if self.directory().exists() {
            set_mode(&self.directory(), 0o700);
        }
    }
}

#[async_trait]
impl<K: Kind> UnitStoreWorld for Units<K> {
    fn store(&self) -> Arc<dyn UnitStore> {
        Arc::new(self.store.clone())
    }
    fn another(&self) -> Arc<dyn UnitStore> {
        Arc::new(K::open(&self.directory(), self.root.path()))
    }
    fn unit(&self, number: u8) -> UnitSpec {
        UnitSpec {
            name: CompanionName::new(format!("companion-{number}")).unwrap(),
            description: format!("Page {number}"),
            image: ImageId::new(&"b".repeat(64)).unwrap(),
            container: ContainerSpec { restart_delay: Some(1), ..ContainerSpec::default() },
            config: None,
            revision: Revision {
                spec: Fingerprint::of(&[number]),
                image: Fingerprint::of(b"page"),
                config: None,
                rendering: None,
                restart_epoch: 0,
            },
        }
    }
    async fn put_unmanaged(&self, name: &CompanionName) {
        fs::write(self.made(name), K::UNMANAGED).unwrap();
    }
    async fn put_garbage(&self, name: &CompanionName) {
        fs::write(self.made(name), b"\xff\x00[X-Companion\n=\n\x1b").unwrap();
    }
    async fn put_directory(&self, name: &CompanionName) {
        fs::create_dir(self.made(name)).unwrap();
    }
    async fn edit(&self, name: &CompanionName) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        let edited = text.replace(K::EDIT[0], K::EDIT[1]);
        assert_ne!(edited, text);
        fs::write(self.file(name), edited).unwrap();
    }
    async fn truncate(&self, name: &CompanionName) {
        fs::write(self.file(name), "").unwrap();
    }
    async fn expose(&self, name: &CompanionName) {
        set_mode(&self.file(name), 0o666);
    }
    async fn cut(&self, name: &CompanionName) {
        let bytes = fs::read(self.file(name)).unwrap();
        fs::write(self.file(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    async fn copy(&self, from: &CompanionName, to: &CompanionName) {
        fs::copy(self.file(from), self.file(to)).unwrap();
    }
    async fn change_renderer(&self) {
        K::change_renderer(&self.store);
    }
    async fn lose_store(&self) {
        fs::remove_dir_all(self.root.path().join("containers")).unwrap();
    }
    async fn lock_up(&self) {
        set_mode(&self.directory(), 0o500);
    }
    async fn remove_judge(&self) {
        fs::remove_file(self.root.path().join(JUDGE)).unwrap();
    }
    async fn drop_in(&self, name: &CompanionName) -> Arranged {
        K::drop_in(&self.file(name))
    }
    async fn put_link(&self, name: &CompanionName) -> Arranged {
        let elsewhere = self.root.path().join("elsewhere");
        self.store.write(&self.unit(0)).await.unwrap();
        fs::rename(self.file(&self.unit(0).name), &elsewhere).unwrap();
        symlink(elsewhere, self.made(name)).unwrap();
        Ok(())
    }
    async fn add_name(&self, name: &CompanionName) -> Arranged {
        fs::hard_link(self.file(name), self.root.path().join("second")).unwrap();
        Ok(())
    }
    async fn forbid(&self, name: &CompanionName) {
        set_mode(&self.file(name), 0);
        assert!(fs::read(self.file(name)).is_err(), "modes are enforced for root too");
    }
    async fn refuse(&self, name: &CompanionName) {
        fs::write(self.root.path().join("refused").join(name.as_str()), "").unwrap();
    }
    async fn trace(&self, name: &CompanionName) -> String {
        let Ok(found) = fs::symlink_metadata(self.file(name)) else {
            return "nothing".to_owned();
        };
        let times = (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
        let status = (found.ino(), found.mode(), found.len(), times);
        format!("{status:?} {:?}", fs::read(self.file(name)).ok())
    }
}
