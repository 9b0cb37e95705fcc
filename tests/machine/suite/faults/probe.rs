//! A fourth companion, for faults that the three cannot have: its hook is a test program, or its image is only
//! pulled.

use std::fs;

use crate::guest::{Ran, archy, podman, systemctl, write};
use crate::node::{CATALOG, Companion, STATE, companion, extend_catalog};

/// The companion as the suite knows it; its page is that of its image.
pub(super) const PROBE: Companion = Companion { name: "archy-probe", port: 18099, base: "lnd-ui" };
/// Its app.
const APP: &str = "probe";
/// The output of its hook.
pub(super) const OUTPUT: &str = "/var/lib/archipelago/probe/probe.conf";
/// The hook's program and its input.
pub(super) const PROGRAM: &str = "/home/archy/hook/program";
pub(super) const INPUT: &str = "/home/archy/hook/input";
/// The timeout of the hook, in seconds.
pub(super) const TIMEOUT: u32 = 3;

/// The fourth companion, until this is dropped.
#[derive(Debug)]
pub(super) struct Probe {
    /// The catalog without it.
    catalog: String,
}

impl Probe {
    /// One whose configuration is the output of `script`, mounted inside or outside of nginx's configuration.
    pub(super) fn with_hook(script: &str, mounted_at: &str) -> Self {
        let probe = Self::described(
            r#"{ base = "lnd-ui" }"#,
            &format!(r#"mounts = [{{ source = "{OUTPUT}", target = "{mounted_at}" }}],"#),
            &format!(
                "hook = {{ output = \"{OUTPUT}\", program = {{ command = {{ argv = [\"{PROGRAM}\"], \
                 inputs = [\"{INPUT}\"], timeout = {TIMEOUT} }} }} }}\n"
            ),
        );
        program(script);
        write(INPUT, "first\n");
        probe
    }

    /// One that is only pulled, by this reference.
    pub(super) fn pulled(reference: &str) -> Self {
        let registry = reference.split('/').next().unwrap_or_default();
        let probe = Self::described(&format!(r#"{{ pull = "{reference}" }}"#), "", "");
        let text = fs::read_to_string(CATALOG).unwrap();
        let insecure = format!("insecure_registries = [\"{registry}\", ");
        write(CATALOG, &text.replacen("insecure_registries = [", &insecure, 1));
        probe
    }

    fn described(image: &str, container: &str, hook: &str) -> Self {
        let catalog = fs::read_to_string(CATALOG).unwrap();
        let entry = format!(
            "\n[[companion]]\nname = \"{}\"\napps = [\"{APP}\"]\nimage = {image}\n{hook}\
             container = {{ network = \"bridge\", ports = [{{ host = {}, container = 80 }}], {container} \
             restart_delay = 2 }}\n",
            PROBE.name, PROBE.port
        );
        extend_catalog(&entry);
        Self { catalog }
    }

    pub(super) fn install(&self) -> Ran {
        companion(&["install", APP])
    }

    pub(super) fn remove(&self) -> Ran {
        companion(&["remove", APP])
    }
}

/// Replaces the hook's program by another script.
pub(super) fn program(script: &str) {
    write(&format!("{PROGRAM}.new"), &format!("#!/bin/sh\n{script}\n"));
    archy(&["chmod", "0755", &format!("{PROGRAM}.new")]).good();
    archy(&["mv", &format!("{PROGRAM}.new"), PROGRAM]).good();
}

impl Drop for Probe {
    fn drop(&mut self) {
        if self.remove().status != Some(0) {
            // The next test must not inherit a damaged record.
            let _stopped = systemctl(&["stop", &PROBE.service(), "companion.service"]);
            let _removed = fs::remove_file(PROBE.unit());
            let _reloaded = systemctl(&["daemon-reload"]);
            let _forgotten = fs::remove_file(format!("{STATE}/desired.json"));
            let _removed = podman(&["rm", "--force", "--ignore", PROBE.name]);
        }
        write(CATALOG, &self.catalog);
        // Its image may be that of another companion under another name; then its record and archive stay.
        archy(&["sh", "-c", &format!("rm -f {STATE}/images/page_*")]);
        for path in ["/home/archy/hook", "/var/lib/archipelago/probe"] {
            let _removed = fs::remove_dir_all(path);
        }
    }
}
