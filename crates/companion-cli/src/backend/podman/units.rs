//! Checks the unit files: unmanaged files with names of the catalog, and files that Podman's generator
//! cannot load.

use adapter_systemd::{SameContainer, Scope, UnloadableFile, UnloadableUnits, unloadable_units};
use archipelago_companions::Catalog;
use archipelago_companions::host::{PODMAN_FLOOR, SystemdPodman};
use companion_core::error_chain::chain;
use companion_core::model::unit::UnitFileState;
use companion_core::ports::UnitStore as _;

use super::Finding;
use crate::service::Systemctl;

/// The name of the check of all files.
const CHECK: &str = "generated units";

/// The maximum number of files in a finding.
const FILES_LIMIT: usize = 10;

/// Checks for unmanaged unit files with names of the catalog.
pub(super) async fn unmanaged(host: &SystemdPodman, catalog: &Catalog) -> Vec<Finding> {
    let names = catalog.companions().map(|spec| (spec.name.clone(), None)).collect();
    // The version affects the content of units, not their ownership.
    let units = match host.units(PODMAN_FLOOR) {
        Ok(units) => units,
        // Another check reports the unit directory.
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
                format!("mv {0} {0}.bak, if it is not needed", path.display()),
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

/// Runs the generator on all unit files without writing units.
///
/// One unloadable file makes the generator drop every unit of the directory.
pub(super) async fn loadable(scope: Scope) -> Vec<Finding> {
    let systemctl = Systemctl::new(scope).shown();
    match unloadable_units(scope).await {
        Ok(found) => {
            let names = same_container(&found.same_container, systemctl);
            [loadability(&found, systemctl)].into_iter().chain(names).collect()
        }
        Err(error) => vec![Finding::error(CHECK, chain(&error), "reinstall podman")],
    }
}

fn loadability(unloadable: &UnloadableUnits, systemctl: &str) -> Finding {
    let fix = format!("fix or move these files, then {systemctl} daemon-reload");
    if unloadable.files.is_empty() && unloadable.refused.is_empty() {
        return Finding::ok(CHECK, "the generator loads every unit file");
    }
    if unloadable.files.is_empty() {
        let files = listed(&unloadable.refused);
        let found = format!("the generator refuses {files}; only these have no service");
        return Finding::warning(CHECK, found, fix);
    }
    let lost = match unloadable.lost.len() {
        0 => "no companion is affected".to_owned(),
        count => format!("the next reload drops the units of {count} companion(s)"),
    };
    let files = listed(&unloadable.files);
    Finding::error(CHECK, format!("the generator cannot load {files}; {lost}"), fix)
}

/// Lists the files whose container would replace a companion's, if there are any.
fn same_container(files: &[SameContainer], systemctl: &str) -> Option<Finding> {
    if files.is_empty() {
        return None;
    }
    let line = |found: &SameContainer| {
        format!("`{}` has the container name of `{}`", found.file, found.name)
    };
    let files = files.iter().take(FILES_LIMIT).map(line).collect::<Vec<_>>().join("; ");
    let found = format!("{files}; each start replaces the other's container");
    let fix =
        format!("give it another `ContainerName=`, or move it, then {systemctl} daemon-reload");
    Some(Finding::warning("container names", found, fix))
}

/// Lists the files with the generator's messages.
fn listed(files: &[UnloadableFile]) -> String {
    let line = |found: &UnloadableFile| format!("`{}`: {}", found.file, found.why);
    files.iter().take(FILES_LIMIT).map(line).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use companion_core::model::companion::CompanionName;

    use super::*;
    use crate::commands::doctor::State;

    #[test]
    fn unloadable_file_is_an_error_with_its_name_and_the_lost_units() {
        let broken = UnloadableFile { file: "/x/a.container".into(), why: "line 3".into() };
        let lost = [CompanionName::new("archy-lnd-ui").unwrap()].into();
        let found = UnloadableUnits { files: vec![broken], lost, ..UnloadableUnits::default() };
        let finding = loadability(&found, "systemctl --user");
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
        let finding = loadability(&found, "systemctl --user");
        assert_eq!(finding.state, State::Warning);
        assert!(finding.found.contains("`x.container`: no Image"), "{finding:?}");
    }

    #[test]
    fn file_with_a_companions_container_name_is_a_warning() {
        let name = CompanionName::new("archy-lnd-ui").unwrap();
        let files = [SameContainer { file: "/x/old.container".into(), name }];
        let finding = same_container(&files, "systemctl --user").unwrap();
        assert_eq!(finding.state, State::Warning);
        let named = "`/x/old.container` has the container name of `archy-lnd-ui`";
        assert!(finding.found.starts_with(named), "{finding:?}");
        assert!(same_container(&[], "systemctl --user").is_none());
    }

    #[test]
    fn generator_that_loads_all_files_is_ok() {
        assert!(!loadability(&UnloadableUnits::default(), "").is_error());
    }
}
