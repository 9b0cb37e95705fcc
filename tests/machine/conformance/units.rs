//! `QuadletDir` on the guest's own directory, with Podman's generator behind a script that can refuse a unit.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use adapter_systemd::{QuadletDir, Scope};
use async_trait::async_trait;
use companion_conformance::Arranged;
use companion_conformance::unit_store::UnitStoreWorld;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore;
use quadlet::PodmanVersion;

use super::guest::{InOrder, RUNS, scope, unit, units};
use super::{obey_modes, set_mode};

/// Runs Podman's generator on every unit, but refuses those whose names are files in `refused`.
const GENERATOR: &str = r#"#!/bin/sh
for f in "$QUADLET_UNIT_DIRS"/*.container; do
    n=${f##*/} n=${n%.container}
    if [ -e "${0%/*}/refused/$n" ]; then
        echo "quadlet-generator[$$]: converting \"$n.container\": not by this world" >&2
        exit 1
    fi
done
exec PODMANS "$@""#;

pub(crate) struct Units {
    store: QuadletDir,
    root: tempfile::TempDir,
    /// Held for its drop.
    in_order: Option<InOrder>,
}

impl Units {
    pub(crate) async fn new() -> Self {
        let in_order = InOrder::put();
        let mut units = Self::here();
        units.in_order = Some(in_order);
        units
    }

    /// The units of a host that the caller resets.
    pub(crate) fn here() -> Self {
        obey_modes();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("refused")).unwrap();
        let podmans = match scope() {
            Scope::User => "/usr/lib/systemd/user-generators/podman-user-generator",
            Scope::System => "/usr/lib/systemd/system-generators/podman-system-generator",
        };
        let generator = root.path().join("generator");
        // By another process, so that no concurrent fork holds it open for writing (`ETXTBSY`).
        let status = Command::new("/bin/sh")
            .args(["-c", "printf '%s\\n' \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh"])
            .arg(GENERATOR.replace("PODMANS", podmans))
            .arg(&generator)
            .status();
        assert!(status.unwrap().success());
        Self { store: units().with_generator(generator), root, in_order: None }
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
        Arc::new(units().with_generator(self.root.path().join("generator")))
    }
    fn unit(&self, number: u8) -> UnitSpec {
        unit(number, RUNS)
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
        let edited = text.replacen("Description=", "Description=Edited, ", 1);
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
        fs::remove_dir_all(self.store.path()).unwrap();
    }
    async fn lock_up(&self) {
        set_mode(self.store.path(), 0o500);
    }
    async fn remove_judge(&self) {
        fs::remove_file(self.root.path().join("generator")).unwrap();
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
        fs::hard_link(self.file(name), self.store.path().join("conform-second")).unwrap();
        Ok(())
    }
}
