//! Unit files after a reload, and changes by other programs.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use adapter_systemd::{UnloadableUnits, unloadable_units};
use companion_core::model::service::{LoadedUnit, ServiceState, Verb};
use companion_core::model::unit::UnitFileState;
use companion_core::ports::{PortErrorKind, ServiceManager as _, UnitStore as _};

use super::guest::{Guest, UNMANAGED, runtime_dir, scope, systemctl};

#[tokio::test]
async fn a_unit_that_the_generator_refuses_is_not_found_after_a_reload() {
    let guest = Guest::with("probe-refused").await;
    let unit = guest.unit(0);
    let text = guest.units.text(&unit).unwrap();
    std::fs::create_dir_all(guest.units.path()).unwrap();
    std::fs::write(guest.path(), text.replace("Pull=", "Pulll=")).unwrap();
    guest.services.reload().await.unwrap();
    assert_eq!(guest.state().await, ServiceState::absent());
    assert_eq!(
        guest.file(&unit).await.state,
        UnitFileState::Drifted { revision: Some(unit.revision) }
    );
    guest.run(&unit).await;
    guest.remove().await;
}

#[tokio::test]
async fn a_masked_unit_is_reported_and_not_started() {
    let guest = Guest::with("probe-masked").await;
    guest.units.write(&guest.unit(0)).await.unwrap();
    let service = format!("{}.service", guest.name);
    systemctl(&["mask", &service]);
    guest.services.reload().await.unwrap();
    assert!(matches!(guest.state().await.unit, LoadedUnit::Held { .. }));
    let error = guest.services.begin(&guest.name, Verb::Start).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Denied, "{}", error.chain());
    systemctl(&["unmask", &service]);
    guest.remove().await;
}

#[tokio::test]
async fn edits_with_and_without_the_ownership_label_differ() {
    let guest = Guest::with("probe-edited").await;
    let unit = guest.unit(0);
    guest.units.write(&unit).await.unwrap();
    std::fs::set_permissions(guest.path(), Permissions::from_mode(0o666)).unwrap();
    let exposed = UnitFileState::WrongMode { revision: unit.revision };
    assert_eq!(guest.file(&unit).await.state, exposed);
    guest.units.write(&unit).await.unwrap();
    assert_eq!(guest.file(&unit).await.state, UnitFileState::Current { revision: unit.revision });
    std::fs::write(guest.path(), "[Container]\nImage=localhost/other\n").unwrap();
    assert!(matches!(guest.file(&unit).await.state, UnitFileState::Unmanaged { .. }));
    assert_eq!(guest.units.write(&unit).await.unwrap_err().kind(), PortErrorKind::Conflict);
    assert_eq!(guest.units.remove(&guest.name).await.unwrap_err().kind(), PortErrorKind::Conflict);
    std::fs::remove_file(guest.path()).unwrap();
    guest.services.reload().await.unwrap();
}

#[tokio::test]
async fn a_unit_that_shadows_ours_is_seen_by_its_source() {
    let guest = Guest::with("probe-shadow").await;
    let unit = guest.unit(0);
    guest.units.write(&unit).await.unwrap();
    let shadow = runtime_dir().join("containers/systemd/probe-shadow.container");
    std::fs::create_dir_all(shadow.parent().unwrap()).unwrap();
    std::fs::write(&shadow, "[Container]\nImage=localhost/other\n").unwrap();
    guest.services.reload().await.unwrap();
    let state = guest.state().await;
    std::fs::remove_file(&shadow).unwrap();
    let place = shadow.to_str().unwrap().to_owned();
    assert_eq!(state.unit, LoadedUnit::Elsewhere { place });
    guest.services.reload().await.unwrap();
    assert_eq!(guest.state().await.loaded(), Some(unit.revision));
    guest.units.remove(&guest.name).await.unwrap();
    guest.services.reload().await.unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_the_checks() {
    let guest = Guest::with("probe-sweep").await;
    guest.units.write(&guest.unit(0)).await.unwrap();
    assert_eq!(guest.units.sweep().await.unwrap(), 0);
    guest.units.remove(&guest.name).await.unwrap();
    let stage = format!("companion-stage-{}", rustix::process::geteuid());
    let staged = std::fs::read_dir(runtime_dir().join(stage)).unwrap();
    assert_eq!(staged.count(), 0);
}

/// The unit runs, and an unmanaged file in its directory cannot be parsed: Podman's generator would drop both.
#[tokio::test]
async fn an_unparsable_unmanaged_file_loses_no_managed_unit() {
    let guest = Guest::with("probe-unmanaged").await;
    let unit = guest.unit(0);
    guest.run(&unit).await;
    let before = guest.state().await;
    let unmanaged = guest.units.path().join(UNMANAGED);
    std::fs::write(&unmanaged, "[Container]\nno assignment\n").unwrap();

    let error = guest.services.reload().await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Conflict, "{}", error.chain());
    let chain = error.chain();
    for expected in ["`probe-unmanaged`", UNMANAGED, "no assignment", "not a key-value pair"] {
        assert!(chain.contains(expected), "{chain}");
    }
    let found = unloadable_units(scope()).await.unwrap();
    assert_eq!(found.lost, BTreeSet::from([guest.name.clone()]));
    assert_eq!(found.files.len(), 1, "{found:?}");
    let mut after = guest.state().await;
    after.up_for = before.up_for;
    assert_eq!(after, before, "it is loaded and runs on");

    // The result that the check prevents.
    systemctl(&["daemon-reload"]);
    let state = guest.state().await;
    assert_eq!((&state.unit, state.is_up()), (&LoadedUnit::Absent, true), "{state:?}");

    std::fs::remove_file(&unmanaged).unwrap();
    guest.services.reload().await.unwrap();
    let mut after = guest.state().await;
    after.up_for = before.up_for;
    assert_eq!(after, before);
    assert_eq!(unloadable_units(scope()).await.unwrap(), UnloadableUnits::default());
    guest.remove().await;
}

#[tokio::test]
async fn a_rejected_unmanaged_unit_does_not_prevent_a_reload() {
    let guest = Guest::with("probe-neighbour").await;
    guest.run(&guest.unit(0)).await;
    let unmanaged = guest.units.path().join(UNMANAGED);
    std::fs::write(&unmanaged, "[Container]\nImage=localhost/x\nNoSuchKey=1\n").unwrap();
    guest.services.reload().await.unwrap();
    assert!(guest.state().await.loaded().is_some());
    std::fs::remove_file(&unmanaged).unwrap();
    guest.remove().await;
}

#[tokio::test]
async fn writing_an_unchanged_unit_does_not_require_a_reload() {
    let guest = Guest::with("probe-same").await;
    let unit = guest.unit(0);
    guest.units.write(&unit).await.unwrap();
    let before = std::fs::metadata(guest.path()).unwrap();
    guest.services.reload().await.unwrap();
    guest.units.write(&unit).await.unwrap();
    let after = std::fs::metadata(guest.path()).unwrap();
    assert_eq!(
        (before.ino(), before.modified().unwrap()),
        (after.ino(), after.modified().unwrap())
    );
    guest.remove().await;
}
