//! Companions in any number: stand-ins, or containers of the base image.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::guest::{archy, archy_reading, systemctl, write};
use crate::node::{CATALOG, COMPANION, UNITS, USER_UNITS};

pub(super) const IMAGE: &str = "127.0.0.1:5000/bench:1";

/// Replaces the container of each unit whose name begins with `bench-` (systemd.unit(5), prefix drop-ins).
const STAND_IN: &str = "[Service]\nExecStart=\nExecStart=/usr/bin/sleep infinity\nType=exec\n\
    ExecStop=\nExecStopPost=\n";

/// The installed apps of a fleet.
pub(super) struct Fleet {
    pub(super) names: Vec<String>,
}

impl Fleet {
    /// Puts `count` companions into the catalog, and installs none.
    pub(super) fn described(prefix: &str, count: usize) -> Self {
        archy(&["podman", "tag", "localhost/companion-base:latest", IMAGE]).good();
        write(&format!("{USER_UNITS}/bench-.service.d/stand-in.conf"), STAND_IN);
        let names: Vec<String> = (0..count).map(|number| format!("{prefix}-{number:04}")).collect();
        let mut text = fs::read_to_string(CATALOG).unwrap();
        text.truncate(text.find("[[companion]]").unwrap_or(text.len()));
        for name in &names {
            writeln!(
                text,
                "[[companion]]\nname = \"{name}\"\napps = [\"{name}\"]\n\
                 image = {{ pull = \"{IMAGE}\" }}\ncontainer = {{ network = \"bridge\" }}\n"
            )
            .unwrap();
        }
        write(CATALOG, &text);
        Self { names }
    }

    /// The same, installed.
    pub(super) fn installed(prefix: &str, count: usize) -> Self {
        let fleet = Self::described(prefix, count);
        fleet.install();
        fleet
    }

    pub(super) fn install(&self) {
        let script = format!("exec {COMPANION} install $(cat)");
        archy_reading(&["bash", "-c", &script], &self.names.join(" ")).good();
    }

    /// Leaves no unit and no intent of these.
    pub(super) fn remove(&self) {
        systemctl(&["stop", "companion.service"]);
        let script = format!("exec {COMPANION} remove $(cat)");
        archy_reading(&["bash", "-c", &script], &self.names.join(" ")).good();
    }

    pub(super) fn service(&self, number: usize) -> String {
        format!("{}.service", self.names[number % self.names.len()])
    }

    pub(super) fn unit(&self, number: usize) -> String {
        format!("{UNITS}/{}.container", self.names[number % self.names.len()])
    }
}

/// Properties of a service of archy's; systemd's timestamps in microseconds of the monotonic clock are among them.
pub(super) fn properties(service: &str) -> BTreeMap<String, String> {
    let text = systemctl(&["show", service]).good();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A timestamp among the properties of a service.
pub(super) fn timestamp(service: &str, name: &str) -> u64 {
    properties(service)[name].parse().unwrap()
}
