//! `QuadletDir` on the guest's own directory, with Podman's generator behind a script that can refuse a unit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use adapter_systemd::{QuadletDir, Scope};
use companion_conformance::worlds::{DirectoryHost, UnitDirectory};
use companion_conformance::{Arranged, HostWorld};
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore;
use quadlet::PodmanVersion;

use super::guest::{InOrder, RUNS, scope, unit, units};

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
    _in_order: Option<InOrder>,
}

pub(crate) async fn new() -> UnitDirectory<Units> {
    let in_order = InOrder::put();
    UnitDirectory::new(Units::with(Some(in_order)))
}

impl Units {
    /// The units of a host that the caller resets.
    pub(crate) fn here() -> UnitDirectory<Self> {
        UnitDirectory::new(Self::with(None))
    }

    fn with(in_order: Option<InOrder>) -> Self {
        // The files elsewhere are on the file system of the units.
        let parent = units().path().parent().unwrap().to_owned();
        fs::create_dir_all(&parent).unwrap();
        let root = tempfile::tempdir_in(parent).unwrap();
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
        Self { store: units().with_generator(generator), root, _in_order: in_order }
    }
}

impl HostWorld for Units {}

impl DirectoryHost for Units {
    fn store(&self) -> Arc<dyn UnitStore> {
        Arc::new(self.store.clone())
    }
    fn another(&self) -> Arc<dyn UnitStore> {
        Arc::new(units().with_generator(self.root.path().join("generator")))
    }
    fn unit(&self, number: u8) -> UnitSpec {
        unit(number, RUNS)
    }
    fn units(&self) -> PathBuf {
        self.store.path().to_owned()
    }
    fn scratch(&self) -> &Path {
        self.root.path()
    }
    fn extension(&self) -> &'static str {
        "container"
    }
    fn unmanaged(&self) -> String {
        "[Container]\nImage=localhost/others:latest\n".to_owned()
    }
    fn edited(&self, text: &str) -> String {
        text.replacen("Description=", "Description=Edited, ", 1)
    }
    fn change_renderer(&self) {
        // Too old for `Pull=`, which every unit has.
        self.store.set_podman_version(PodmanVersion::new(4, 5, 0));
    }
    fn drop_in(&self, unit: &Path) -> Arranged {
        let directory = unit.with_extension("container.d");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("operator.conf"), "[Service]\nRestartSec=11\n").unwrap();
        fs::write(directory.join("operator.conf.old"), "no drop-in").unwrap();
        Ok(())
    }
    fn put_elsewhere(&self, unit: &Path) -> Arranged {
        let directory = unit.with_file_name("conform-application");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(unit.file_name().unwrap()), self.unmanaged()).unwrap();
        Ok(())
    }
    fn remove_validator(&self) -> Arranged {
        fs::remove_file(self.root.path().join("generator")).unwrap();
        Ok(())
    }
    fn refuse(&self, name: &CompanionName) -> Arranged {
        fs::write(self.root.path().join("refused").join(name.as_str()), "").unwrap();
        Ok(())
    }
}
