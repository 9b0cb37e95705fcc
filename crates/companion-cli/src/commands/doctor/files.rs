//! The places that are this program's own: its state directory and its service.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapter_systemd::Scope;
use archipelago::RecordStore;
use companion_core::ports::DesiredStore as _;
use durable_dir::{Dir, DirError, Trust};

use super::Finding;
use crate::config::Config;
use crate::error::{CommandResult, chain};

const UNIT: &str = "companion.service";

/// Looks whether the state directory can be used, and the record be read.
pub(super) async fn state_directory(scope: Scope, config: &Config) -> CommandResult<Vec<Finding>> {
    let path = match config.state_dir(scope) {
        Ok(path) => path,
        Err(error) => {
            let mend = "set `HOME`, or give `--state-dir DIR`";
            return Ok(vec![Finding::lacking("state directory", error.to_string(), mend)]);
        }
    };
    let shown = path.display();
    let finding = match Dir::open(&path, Trust::Owned) {
        Ok(_) => Finding::fine("state directory", shown.to_string()),
        Err(DirError::NotFound { .. }) => {
            Finding::fine("state directory", format!("{shown}, made by the first install"))
        }
        Err(error) => Finding::lacking("state directory", chain(&error), ownership_mend(&path)),
    };
    let store = RecordStore::new(&path, Arc::new(config.catalog()?));
    let record = match store.load().await {
        Ok(desired) => {
            Finding::fine("record", format!("{} companion(s) wanted", desired.companions.len()))
        }
        Err(error) => {
            let mend = format!("mv {shown}/desired.json {shown}/desired.json.bak, install again");
            Finding::lacking("record", chain(&error), mend)
        }
    };
    Ok(vec![finding, record])
}

fn ownership_mend(path: &Path) -> String {
    let shown = path.display();
    format!(
        "chown -R $(id -un) {shown} && chmod 700 {shown}; no directory above may be writable by others"
    )
}

/// Looks for the daemon's own service where the service manager would.
pub(super) fn daemon(scope: Scope) -> Finding {
    let places = unit_directories(scope);
    let manager = match scope {
        Scope::User => "systemctl --user",
        Scope::System => "systemctl",
    };
    let Some(unit) = places.iter().map(|place| place.join(UNIT)).find(|path| path.exists()) else {
        return Finding::advice(
            "daemon",
            format!("`{UNIT}` is not installed: nothing repairs companions by itself"),
            format!("put {UNIT} into {}, then: {manager} enable --now {UNIT}", place(scope)),
        );
    };
    let target = scope.wanted_by();
    let enabled = places
        .iter()
        .any(|place| place.join(format!("{target}.wants")).join(UNIT).symlink_metadata().is_ok());
    if enabled {
        return Finding::fine("daemon", unit.display().to_string());
    }
    let found = format!("`{}` is not enabled: it does not start at boot", unit.display());
    Finding::advice("daemon", found, format!("{manager} enable --now {UNIT}"))
}

fn place(scope: Scope) -> &'static str {
    match scope {
        Scope::User => "~/.config/systemd/user",
        Scope::System => "/etc/systemd/system",
    }
}

/// Where units are looked for, the operator's own directory first (systemd.unit(5)).
fn unit_directories(scope: Scope) -> Vec<PathBuf> {
    let fixed = |kind: &str| {
        ["/etc", "/run", "/usr/local/lib", "/usr/lib"]
            .map(|root| Path::new(root).join("systemd").join(kind))
    };
    let variable = |name: &str, default: &str| {
        let given = std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        given.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(default)))
    };
    match scope {
        Scope::System => fixed("system").into(),
        Scope::User => {
            let own =
                [variable("XDG_CONFIG_HOME", ".config"), variable("XDG_DATA_HOME", ".local/share")];
            let own = own.into_iter().flatten().map(|dir| dir.join("systemd/user"));
            own.chain(fixed("user")).collect()
        }
    }
}
