//! Checks the files of this program: the catalog, the state directory and the desired state.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use archipelago_companions::{Catalog, RecordStore};
use companion_core::error_chain::chain;
use companion_core::ports::{DesiredStore as _, PortError, PortErrorKind};
use durable_dir::{Dir, Trust};

use super::Finding;
use crate::commands::catalog::ports;
use crate::config::Config;

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
    let pulls = catalog.companions().filter_map(|spec| spec.image.pull.as_ref());
    let registries: BTreeSet<_> = pulls
        .map(|pull| {
            let verified = if pull.verify_tls { "" } else { " (certificate not verified)" };
            format!("`{}`{verified}", pull.reference.registry())
        })
        .collect();
    let pages = catalog.companions().map(|spec| format!("{} ({})", spec.name, ports(spec)));
    let pulled = match registries.is_empty() {
        true => "nothing else".to_owned(),
        false => format!("images from {}", registries.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let found = format!(
        "builds pull their base images, and {pulled}; installed pages listen on all addresses, unless one is named: {}",
        pages.collect::<Vec<_>>().join(", ")
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
    let found = chain(error);
    let fix = match error.kind() {
        // Moving away a newer version would lose the list of installed apps.
        PortErrorKind::Invalid if found.ends_with("upgrade companion") => {
            "upgrade companion: a newer release wrote this file".to_owned()
        }
        PortErrorKind::Invalid => {
            let record = path.join("desired.json");
            format!("mv {0} {0}.bak, then install the apps again", record.display())
        }
        PortErrorKind::Denied => ownership_fix(path),
        PortErrorKind::Conflict => "move away what is at this path".to_owned(),
        _ => format!("check the file system of {}, then try again", path.display()),
    };
    Finding::error("record", found, fix)
}
