//! The files of this program: the catalog, the state directory and the record in it.

use std::path::Path;
use std::sync::Arc;

use adapter_systemd::Scope;
use archipelago::{Catalog, RecordStore};
use companion_core::ports::{DesiredStore as _, PortError};
use durable_dir::{Dir, DirError, Trust};
use serde::Deserialize;

use super::Finding;
use crate::config::Config;
use crate::error::chain;

/// The most bytes of a record.
const RECORD_LIMIT: usize = 1024 * 1024;

/// Reads the catalog; without one that can be used there is none, and the finding says why.
pub(super) fn catalog(config: &Config) -> (Option<Catalog>, Finding) {
    match config.catalog() {
        Ok(catalog) => {
            let count = catalog.companions().count();
            (Some(catalog), Finding::ok("catalog", format!("{count} companion(s) known")))
        }
        Err(error) => {
            let fix = "correct it; `companion catalog` checks it again";
            (None, Finding::error("catalog", error.to_string(), fix))
        }
    }
}

/// Checks whether the state directory can be used, and the record be read.
pub(super) async fn state_directory(
    scope: Scope,
    config: &Config,
    catalog: Arc<Catalog>,
) -> Vec<Finding> {
    let path = match config.state_dir(scope) {
        Ok(path) => path,
        Err(error) => {
            let fix = "set `HOME`, or give `--state-dir DIR`";
            return vec![Finding::error("state directory", error.to_string(), fix)];
        }
    };
    let shown = path.display();
    let finding = match Dir::open(&path, Trust::Owned) {
        Ok(_) => Finding::ok("state directory", shown.to_string()),
        Err(DirError::NotFound { .. }) => {
            Finding::ok("state directory", format!("{shown}, made by the first install"))
        }
        Err(error) => Finding::error("state directory", chain(&error), ownership_fix(&path)),
    };
    let record = match RecordStore::new(&path, catalog).load().await {
        Ok(desired) => {
            Finding::ok("record", format!("{} companion(s) installed", desired.companions.len()))
        }
        Err(error) => unusable_record(&path, &error),
    };
    vec![finding, record]
}

fn ownership_fix(path: &Path) -> String {
    let shown = path.display();
    format!(
        "chown -R $(id -un) {shown} && chmod 700 {shown}; no directory above may be writable by others"
    )
}

fn unusable_record(path: &Path, error: &PortError) -> Finding {
    let fix = match record_version(path) {
        // Its writer knew more than this program; to move it away would lose what is installed.
        Some(version) if version > RecordStore::VERSION => {
            format!("upgrade companion: a newer one wrote this record (version {version})")
        }
        _ => {
            let record = path.join("desired.json");
            format!("mv {0} {0}.bak, then install the apps again", record.display())
        }
    };
    Finding::error("record", chain(error), fix)
}

/// The version that the record says it has, if it says that at all.
fn record_version(path: &Path) -> Option<u32> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let dir = Dir::open(path, Trust::Owned).ok()?;
    let file = dir.read("desired.json", RECORD_LIMIT).ok()??;
    serde_json::from_slice::<Versioned>(&file.bytes).ok().map(|found| found.version)
}
