//! Checks the files of this program: the catalog, the state directory and the desired state.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use archipelago_companions::{Catalog, RecordStore};
use companion_core::error_chain::chain;
use companion_core::model::container::Network;
use companion_core::ports::{DesiredStore as _, PortError, PortErrorKind};
use durable_dir::{Dir, Trust};
use serde::Deserialize;

use super::Finding;
use crate::config::Config;

/// The maximum size of the desired state.
const RECORD_LIMIT: usize = 1024 * 1024;

/// Reads the catalog. The finding describes an invalid one.
pub(super) fn catalog(config: &Config) -> (Option<Catalog>, Finding) {
    match config.catalog() {
        Ok(catalog) => {
            let count = catalog.companions().count();
            (Some(catalog), Finding::ok("catalog", format!("{count} companion(s) known")))
        }
        Err(error) => {
            let fix = "correct the file; `companion catalog` checks it";
            (None, Finding::error("catalog", error.to_string(), fix))
        }
    }
}

/// States which registries are contacted, and where the pages listen.
pub(super) fn network(catalog: &Catalog) -> Finding {
    let mut registries = BTreeSet::new();
    let mut listening = Vec::new();
    for spec in catalog.companions() {
        registries.extend(spec.image.pull.as_ref().map(|pull| {
            let verified = if pull.verify_tls { "" } else { " (certificate not verified)" };
            format!("`{}`{verified}", pull.reference.registry())
        }));
        let container = &spec.container;
        listening.extend(container.ports.iter().map(|port| {
            let address = port.address.map_or_else(String::new, |address| format!(" on {address}"));
            format!("{} at port {}{address}", spec.name, port.host)
        }));
        if container.network == Network::Host {
            listening.push(format!("{} in the network of the host", spec.name));
        }
    }
    let pulled = match registries.is_empty() {
        true => "nothing else".to_owned(),
        false => format!("images from {}", registries.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let found = format!(
        "builds pull their base images, and {pulled}; installed pages listen on all addresses, unless one is named: {}",
        listening.join(", ")
    );
    Finding::ok("network", found)
}

/// Checks the state directory, and the desired state in it.
pub(super) async fn state_directory(config: &Config, catalog: Arc<Catalog>) -> Vec<Finding> {
    let path = match config.state_dir() {
        Ok(path) => path,
        Err(error) => {
            let fix = "set `HOME`, or use `--state-dir DIR`";
            return vec![Finding::error("state directory", error.to_string(), fix)];
        }
    };
    let shown = path.display();
    let finding = match Dir::open_existing(&path, Trust::Owned) {
        Ok(Some(_)) => Finding::ok("state directory", shown.to_string()),
        Ok(None) => {
            Finding::ok("state directory", format!("{shown}, created by the first install"))
        }
        Err(error) => Finding::error("state directory", chain(&error), ownership_fix(&path)),
    };
    let record = match RecordStore::new(&path, catalog).load().await {
        Ok(desired) => {
            Finding::ok("record", format!("{} companion(s) installed", desired.present().count()))
        }
        Err(error) => unusable_record(&path, &error),
    };
    vec![finding, record]
}

fn ownership_fix(path: &Path) -> String {
    let shown = path.display();
    format!(
        "chown -R $(id -un) {shown} && chmod 700 {shown}; no parent directory may be writable by others"
    )
}

fn unusable_record(path: &Path, error: &PortError) -> Finding {
    let fix = match (error.kind(), record_version(path)) {
        // Moving away a newer version would lose the list of installed apps.
        (PortErrorKind::Invalid, Some(version)) if version > RecordStore::VERSION => {
            format!("upgrade companion: a newer release wrote this file (version {version})")
        }
        (PortErrorKind::Invalid, _) => {
            let record = path.join("desired.json");
            format!("mv {0} {0}.bak, then install the apps again", record.display())
        }
        (PortErrorKind::Denied, _) => ownership_fix(path),
        (PortErrorKind::Conflict, _) => "move away what is at this path".to_owned(),
        _ => format!("check the file system of {}, then try again", path.display()),
    };
    Finding::error("record", chain(error), fix)
}

/// Returns the version of the desired state file, if it is readable.
fn record_version(path: &Path) -> Option<u32> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let dir = Dir::open(path, Trust::Owned).ok()?;
    let file = dir.read("desired.json", RECORD_LIMIT).ok()??;
    serde_json::from_slice::<Versioned>(&file.bytes).ok().map(|found| found.version)
}
