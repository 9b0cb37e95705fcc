//! `QuadletDir`, with a script as generator.

use std::fs;
use std::path::Path;
use std::process::Command;

use adapter_systemd::{QuadletDir, Scope};
use companion_conformance::Arranged;
use quadlet::PodmanVersion;

use super::{Kind, VALIDATOR};

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

pub(crate) struct Quadlet;

impl Kind for Quadlet {
    type Store = QuadletDir;

    const EXTENSION: &'static str = "container";
    const UNMANAGED: &'static str = "[Container]\nImage=localhost/others:latest\n";
    const EDIT: [&'static str; 2] = ["Image=bb", "Image=cc"];

    fn open(units: &Path, root: &Path) -> QuadletDir {
        let generator = root.join(VALIDATOR);
        if !generator.exists() {
            // Written by another process: a file that this process has open for writing cannot be executed while a
            // parallel test forks (`ETXTBSY`).
            let status = Command::new("/bin/sh")
                .args(["-c", "printf '%s\n' \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", GENERATOR])
                .arg(&generator)
                .status();
            assert!(status.unwrap().success());
        }
        QuadletDir::at(units, Scope::User, PodmanVersion::new(5, 4, 2))
            .with_generator(generator)
            .with_stage_dir(root.join("stage"))
    }

    fn change_renderer(store: &QuadletDir) {
        // Too old for `Pull=`, which every unit has.
        store.set_podman_version(PodmanVersion::new(4, 5, 0));
    }

    fn drop_in(unit: &Path) -> Arranged {
        let directory = unit.with_extension("container.d");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("operator.conf"), "[Service]\nRestartSec=11\n").unwrap();
        fs::write(directory.join("operator.conf.old"), "no drop-in").unwrap();
        Ok(())
    }

    fn put_elsewhere(unit: &Path) -> Arranged {
        let directory = unit.with_file_name("application");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(unit.file_name().unwrap()), Self::UNMANAGED).unwrap();
        Ok(())
    }
}
