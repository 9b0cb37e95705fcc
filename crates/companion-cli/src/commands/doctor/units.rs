//! The unit files on this host: unmanaged ones at names of ours, and those that Podman's generator
//! cannot load.

use adapter_systemd::{Scope, UnloadableFile, UnloadableUnits, unloadable_units};
use archipelago::Catalog;
use archipelago::host::{PODMAN_FLOOR, units};
use companion_core::model::unit::UnitFileState;
use companion_core::ports::{PortResult, UnitStore as _};

use super::Finding;
use crate::error::chain;
use crate::service::Systemctl;

/// The most files that a finding names.
const FILES_LIMIT: usize = 10;

/// Looks for unmanaged unit files at the names of the catalog.
pub(super) async fn unmanaged(scope: Scope, catalog: &Catalog) -> Vec<Finding> {
    let names = catalog.companions().map(|spec| (spec.name.clone(), None)).collect();
    // The version matters for what units say, not for whose they are.
    let units = match units(scope, PODMAN_FLOOR) {
        Ok(units) => units,
        // The unit directory has a finding of its own.
        Err(_no_directory) => return Vec::new(),
    };
    let directory = units.path().to_owned();
    let found = units.observe(&names).await;
    let findings = found.into_iter().filter_map(|(name, file)| {
        let path = directory.join(format!("{name}.container"));
        match file.map(|file| file.state) {
            Ok(UnitFileState::Unmanaged { .. }) => Some(Finding::error(
                "units",
                format!("`{}` is unmanaged, so `{name}` cannot be installed", path.display()),
                format!("mv {0} {0}.bak, unless it is needed", path.display()),
            )),
            Ok(_) => None,
            Err(error) => Some(Finding::error(
                "units",
                chain(&error),
                format!("check the owner and the mode of {}", path.display()),
            )),
        }
    });
    findings.collect()
}

/// Has the generator read all unit files, and write nothing.
///
/// A file that it cannot load makes it drop every unit of the directory, not only that one.
pub(super) async fn loadable(scope: Scope) -> Finding {
    loadability(unloadable_units(scope).await, Systemctl::new(scope).shown())
}

fn loadability(found: PortResult<UnloadableUnits>, systemctl: &str) -> Finding {
    let check = "generated units";
    let unloadable = match found {
        Ok(unloadable) => unloadable,
        Err(error) => return Finding::error(check, chain(&error), "reinstall podman"),
    };
    let fix = format!("repair or move these files, then {systemctl} daemon-reload");
    if unloadable.files.is_empty() && unloadable.refused.is_empty() {
        return Finding::ok(check, "the generator takes every unit file");
    }
    if unloadable.files.is_empty() {
        let files = listed(&unloadable.refused);
        let found = format!("the generator refuses {files}; these alone have no service");
        return Finding::warning(check, found, fix);
    }
    let lost = match unloadable.lost.len() {
        0 => "no companion's unit is dropped with them".to_owned(),
        count => format!("the next reload drops the units of {count} companion(s)"),
    };
    let files = listed(&unloadable.files);
    Finding::error(check, format!("the generator cannot load {files}; {lost}"), fix)
}

/// The files and the generator's messages.
fn listed(files: &[UnloadableFile]) -> String {
    let line = |found: &UnloadableFile| format!("`{}`: {}", found.file, found.why);
    files.iter().take(FILES_LIMIT).map(line).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use companion_core::model::companion::CompanionName;
    use companion_core::ports::{PortError, PortErrorKind};

    use super::super::State;
    use super::*;

    #[test]
    fn an_unloadable_file_is_an_error_that_names_it_and_what_it_costs() {
        let broken = UnloadableFile { file: "/x/a.container".into(), why: "line 3".into() };
        let lost = [CompanionName::new("archy-lnd-ui").unwrap()].into();
        let found = UnloadableUnits { files: vec![broken], lost, refused: Vec::new() };
        let finding = loadability(Ok(found), "systemctl --user");
        assert!(finding.is_error());
        for part in ["`/x/a.container`: line 3", "drops the units of 1 companion(s)"] {
            assert!(finding.found.contains(part), "{finding:?}");
        }
        assert!(finding.fix.unwrap().ends_with("systemctl --user daemon-reload"));
    }

    #[test]
    fn a_refused_file_is_a_warning_that_names_it() {
        let refused = vec![UnloadableFile { file: "x.container".into(), why: "no Image".into() }];
        let found = UnloadableUnits { refused, ..UnloadableUnits::default() };
        let finding = loadability(Ok(found), "systemctl --user");
        assert_eq!(finding.state, State::Warning);
        assert!(finding.found.contains("`x.container`: no Image"), "{finding:?}");
    }

    #[test]
    fn a_generator_that_loads_all_is_ok_and_one_that_breaks_is_an_error() {
        assert!(!loadability(Ok(UnloadableUnits::default()), "").is_error());
        let error = PortError::new(PortErrorKind::Unavailable, "the generator breaks");
        assert!(loadability(Err(error), "").is_error());
    }
}
