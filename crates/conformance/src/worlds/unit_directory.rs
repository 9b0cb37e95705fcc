//! [`UnitDirectory`]: the world of a unit store on a directory, and how its files are tampered with.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::unit_store::UnitStoreWorld;
use crate::{Arranged, HostWorld, Unarranged};

/// What distinguishes one unit store on a directory from another.
#[async_trait]
pub trait DirectoryHost: HostWorld {
    /// The store.
    fn store(&self) -> Arc<dyn UnitStore>;
    /// Another instance on the same directory, as in another process.
    fn another(&self) -> Arc<dyn UnitStore>;
    /// A unit of a different companion for each number below 10.
    fn unit(&self, number: u8) -> UnitSpec;
    /// The directory of the units, which may not exist yet.
    fn units(&self) -> PathBuf;
    /// A directory of the same file system that is no part of the store.
    fn scratch(&self) -> &Path;
    /// The extension of the unit files.
    fn extension(&self) -> &'static str;
    /// The text of a valid unit without the ownership label.
    fn unmanaged(&self) -> String;
    /// The text of a unit after an edit that keeps its ownership label and revision.
    fn edited(&self, text: &str) -> String;
    /// Changes the renderer, as another release does.
    fn change_renderer(&self);
    /// Adds a drop-in to the unit with the file `unit`.
    fn drop_in(&self, _unit: &Path) -> Arranged {
        Err(Unarranged("drop-ins"))
    }
    /// Puts a valid unit with the name of the file `unit` in another directory that the host reads.
    fn put_elsewhere(&self, _unit: &Path) -> Arranged {
        Err(Unarranged("units in other directories"))
    }
    /// Removes the host's validator.
    fn remove_validator(&self) -> Arranged {
        Err(Unarranged("validator that can be missing"))
    }
    /// Makes the validator reject the unit of `name`.
    fn refuse(&self, _name: &CompanionName) -> Arranged {
        Err(Unarranged("validator that rejects a unit"))
    }
}

/// The world of a unit store on a directory.
///
/// Its runtime must be single-threaded, so that this thread [obeys modes](obey_modes).
pub struct UnitDirectory<H: DirectoryHost>(pub H);

impl<H: DirectoryHost> UnitDirectory<H> {
    /// Returns the world of `host`, on a thread that obeys modes.
    pub fn new(host: H) -> Self {
        obey_modes();
        Self(host)
    }

    fn file(&self, name: &CompanionName) -> PathBuf {
        self.0.units().join(format!("{name}.{}", self.0.extension()))
    }

    /// The file of `name`, in a directory that exists by now.
    fn made(&self, name: &CompanionName) -> PathBuf {
        fs::create_dir_all(self.0.units()).expect("the directory can be made");
        self.file(name)
    }
}

impl<H: DirectoryHost> Drop for UnitDirectory<H> {
    fn drop(&mut self) {
        // A read-only directory could not be removed.
        if self.0.units().exists() {
            set_mode(&self.0.units(), 0o700);
        }
    }
}

impl<H: DirectoryHost> HostWorld for UnitDirectory<H> {
    fn traits(&self) -> std::collections::BTreeSet<crate::Trait> {
        self.0.traits()
    }
}

#[async_trait]
impl<H: DirectoryHost> UnitStoreWorld for UnitDirectory<H> {
    fn store(&self) -> Arc<dyn UnitStore> {
        self.0.store()
    }
    fn another(&self) -> Arc<dyn UnitStore> {
        self.0.another()
    }
    fn unit(&self, number: u8) -> UnitSpec {
        self.0.unit(number)
    }
    async fn put_unmanaged(&self, name: &CompanionName) {
        fs::write(self.made(name), self.0.unmanaged()).expect("the unit directory is writable");
    }
    async fn put_garbage(&self, name: &CompanionName) {
        fs::write(self.made(name), b"\xff\x00[X-Companion\n=\n\x1b").expect("it is writable");
    }
    async fn put_directory(&self, name: &CompanionName) {
        fs::create_dir(self.made(name)).expect("the name is free");
    }
    async fn edit(&self, name: &CompanionName) {
        let text = fs::read_to_string(self.file(name)).expect("the unit is there");
        let edited = self.0.edited(&text);
        assert_ne!(edited, text, "`edited` must change the text of every unit");
        fs::write(self.file(name), edited).expect("the unit is writable");
    }
    async fn truncate(&self, name: &CompanionName) {
        fs::write(self.file(name), "").expect("the unit is writable");
    }
    async fn expose(&self, name: &CompanionName) {
        set_mode(&self.file(name), 0o666);
    }
    async fn cut(&self, name: &CompanionName) {
        let bytes = fs::read(self.file(name)).expect("the unit is there");
        fs::write(self.file(name), &bytes[..bytes.len() / 2]).expect("the unit is writable");
    }
    async fn copy(&self, from: &CompanionName, to: &CompanionName) {
        fs::copy(self.file(from), self.file(to)).expect("the unit is there");
    }
    async fn lose_store(&self) {
        fs::remove_dir_all(self.0.units()).expect("the directory is there");
    }
    async fn lock_up(&self) {
        set_mode(&self.0.units(), 0o500);
    }
    async fn forbid(&self, name: &CompanionName) {
        set_mode(&self.file(name), 0);
        assert!(fs::read(self.file(name)).is_err(), "modes are enforced for root too");
    }
    async fn change_renderer(&self) {
        self.0.change_renderer();
    }
    async fn trace(&self, name: &CompanionName) -> String {
        let Ok(found) = fs::symlink_metadata(self.file(name)) else {
            return "nothing".to_owned();
        };
        let (inode, mode) = (found.ino(), found.mode());
        let modified = format!("{}.{:09}", found.mtime(), found.mtime_nsec());
        let changed = format!("{}.{:09}", found.ctime(), found.ctime_nsec());
        let text = match fs::read(self.file(name)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => error.to_string(),
        };
        format!("inode {inode}\nmode {mode:o}\nmodified {modified}\nchanged {changed}\n{text}")
    }
    async fn remove_validator(&self) -> Arranged {
        self.0.remove_validator()
    }
    async fn refuse(&self, name: &CompanionName) -> Arranged {
        self.0.refuse(name)
    }
    async fn drop_in(&self, name: &CompanionName) -> Arranged {
        self.0.drop_in(&self.file(name))
    }
    async fn put_elsewhere(&self, name: &CompanionName) -> Arranged {
        self.0.put_elsewhere(&self.made(name))
    }
    async fn put_link(&self, name: &CompanionName) -> Arranged {
        let (other, elsewhere) = (self.unit(0), self.0.scratch().join("elsewhere"));
        self.store().write(&other).await.expect("a unit can be written");
        fs::rename(self.file(&other.name), &elsewhere).expect("it is the same file system");
        symlink(elsewhere, self.made(name)).expect("the name is free");
        Ok(())
    }
    async fn add_name(&self, name: &CompanionName) -> Arranged {
        let second = self.0.scratch().join("second");
        fs::hard_link(self.file(name), second).expect("it is the same file system");
        Ok(())
    }
}

/// Enforces file modes on this thread and its children as for every user but root: drops the capabilities that bypass
/// modes (capabilities(7)).
pub fn obey_modes() {
    let mut held = capabilities(None).expect("capabilities are readable");
    held.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, held).expect("capabilities can be dropped");
}

/// Sets the permission bits of `path` to `mode`.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the object is ours");
}

/// Returns `path` as the model's type.
pub fn absolute(path: &Path) -> AbsolutePath {
    let text = path.to_str().expect("the path is UTF-8");
    AbsolutePath::new(text).expect("the path is absolute")
}
