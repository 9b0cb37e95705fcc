//! Unit stores in a temporary directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use companion_conformance::worlds::{DirectoryHost, UnitDirectory};
use companion_conformance::{Arranged, HostWorld};
use companion_core::model::companion::CompanionName;
use companion_core::model::image::ImageId;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore;
use companion_tests::node::numbered_unit;

pub(crate) use json_units::Json;
pub(crate) use quadlet_units::Quadlet;

mod json_units;
mod quadlet_units;

/// The validator's file; without it units cannot be validated.
const VALIDATOR: &str = "podman-user-generator";

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
    /// Puts a unit with the name of the file `unit` in another directory that the store's host reads.
    fn put_elsewhere(unit: &Path) -> Arranged;
}

pub(crate) struct Units<K: Kind> {
    store: K::Store,
    root: tempfile::TempDir,
}

/// Units in Quadlet's form.
pub(crate) fn quadlet() -> UnitDirectory<Units<Quadlet>> {
    UnitDirectory::new(Units::new())
}

/// Units in JSON.
pub(crate) fn json() -> UnitDirectory<Units<Json>> {
    UnitDirectory::new(Units::new())
}

impl<K: Kind> Units<K> {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("refused")).unwrap();
        Self { store: K::open(&root.path().join("containers/systemd"), root.path()), root }
    }
}

impl<K: Kind> HostWorld for Units<K> {}

impl<K: Kind> DirectoryHost for Units<K> {
    fn store(&self) -> Arc<dyn UnitStore> {
        Arc::new(self.store.clone())
    }
    fn another(&self) -> Arc<dyn UnitStore> {
        Arc::new(K::open(&self.units(), self.root.path()))
    }
    fn unit(&self, number: u8) -> UnitSpec {
        numbered_unit(number, ImageId::new(&"b".repeat(64)).unwrap())
    }
    fn units(&self) -> PathBuf {
        self.root.path().join("containers/systemd")
    }
    fn scratch(&self) -> &Path {
        self.root.path()
    }
    fn extension(&self) -> &'static str {
        K::EXTENSION
    }
    fn unmanaged(&self) -> String {
        K::UNMANAGED.to_owned()
    }
    fn edited(&self, text: &str) -> String {
        text.replace(K::EDIT[0], K::EDIT[1])
    }
    fn change_renderer(&self) {
        K::change_renderer(&self.store);
    }
    fn drop_in(&self, unit: &Path) -> Arranged {
        K::drop_in(unit)
    }
    fn put_elsewhere(&self, unit: &Path) -> Arranged {
        K::put_elsewhere(unit)
    }
    fn remove_validator(&self) -> Arranged {
        fs::remove_file(self.root.path().join(VALIDATOR)).unwrap();
        Ok(())
    }
    fn refuse(&self, name: &CompanionName) -> Arranged {
        fs::write(self.root.path().join("refused").join(name.as_str()), "").unwrap();
        Ok(())
    }
}
