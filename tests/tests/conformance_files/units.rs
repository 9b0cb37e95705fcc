//! `QuadletDir` in a temporary directory, with a script as generator.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use adapter_systemd::{QuadletDir, Scope};
use async_trait::async_trait;
use companion_conformance::Arranged;
use companion_conformance::unit_store::UnitStoreWorld;
use companion_core::model::companion::CompanionName;
use companion_core::model::container::ContainerSpec;
use companion_core::model::image::ImageId;
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore;
use quadlet::PodmanVersion;

use super::{obey_modes, set_mode};

/// Generates a service for every unit, except those whose names are files in `refused`.
const GENERATOR: &str = r#"#!/bin/sh
for f in "$QUADLET_UNIT_DIRS"/*.container; do
    n=${f##*/} n=${n%.container}
    if [ -e "${0%/*}/refused/$n" ]; then
        echo "quadlet-generator[$$]: converting \"$n.container\": not by this world" >&2
        exit 1
    fi
    printf -- '---%s.service---\n' "$n"
done"#;

const GENERATOR_NAME: &str = "podman-user-generator";

pub(crate) struct Units {
    store: QuadletDir,
    root: tempfile::TempDir,
}

impl Units {
    pub(crate) fn new() -> Self {
        obey_modes();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("refused")).unwrap();
        Self { store: Self::store_in(root.path()), root }
    }

    fn store_in(root: &Path) -> QuadletDir {
        let generator = root.join(GENERATOR_NAME);
        if !generator.exists() {
            // Written by another process: a file that this process has open for writing cannot be executed while a
            // parallel test forks (`ETXTBSY`).
            let status = Command::new("/bin/sh")
                .args(["-c", "printf '%s\\n' \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", GENERATOR])
                .arg(&generator)
                .status();
            assert!(status.unwrap().success());
        }
        QuadletDir::at(root.join("containers/systemd"), Scope::User, PodmanVersion::new(5, 4, 2))
            .with_generator(generator)
            .with_stage_dir(root.join("stage"))
    }

    fn file(&self, name: &CompanionName) -> PathBuf {
        self.store.path().join(format!("{name}.container"))
    }

    /// The file of `name`, in a directory that exists by now.
    fn made(&self, name: &CompanionName) -> PathBuf {
        fs::create_dir_all(self.store.path()).unwrap();
        self.file(name)
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        // A read-only directory could not be removed.
        if self.store.path().exists() {
            set_mode(self.store.path(), 0o700);
        }
    }
}

#[async_trait]
impl UnitStoreWorld for Units {
    fn store(&self) -> Arc<dyn UnitStore> {
        Arc::new(self.store.clone())
    }
    fn another(&self) -> Arc<dyn UnitStore> {
        Arc::new(Self::store_in(self.root.path()))
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
        fs::write(self.made(name), "[Container]\nImage=localhost/others:latest\n").unwrap();
    }
    async fn put_garbage(&self, name: &CompanionName) {
        fs::write(self.made(name), b"\xff\x00[X-Companion\n=\n\x1b").unwrap();
    }
    async fn put_directory(&self, name: &CompanionName) {
        fs::create_dir(self.made(name)).unwrap();
    }
    async fn edit(&self, name: &CompanionName) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        let edited = text.replace("Image=bb", "Image=cc");
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
        // Too old for `Pull=`, which every unit has.
        self.store.set_facts(PodmanVersion::new(4, 5, 0).into());
    }
    async fn lose_store(&self) {
        fs::remove_dir_all(self.root.path().join("containers")).unwrap();
    }
    async fn lock_up(&self) {
        set_mode(self.store.path(), 0o500);
    }
    async fn remove_judge(&self) {
        fs::remove_file(self.root.path().join(GENERATOR_NAME)).unwrap();
    }
    async fn drop_in(&self, name: &CompanionName) -> Arranged {
        let directory = self.store.path().join(format!("{name}.container.d"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("operator.conf"), "[Service]\nRestartSec=11\n").unwrap();
        fs::write(directory.join("operator.conf.old"), "no drop-in").unwrap();
        Ok(())
    }
    async fn put_link(&self, name: &CompanionName) -> Arranged {
        let elsewhere = self.root.path().join("elsewhere");
        fs::write(&elsewhere, self.store.text(&self.unit(0)).unwrap()).unwrap();
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
