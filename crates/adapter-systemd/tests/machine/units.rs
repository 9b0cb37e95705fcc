//! Unit files after a reload, and changes by other programs.

use std::collections::BTreeSet;

use adapter_systemd::{UnloadableUnits, unloadable_units};
use companion_core::model::service::LoadedUnit;
use companion_core::ports::{PortErrorKind, ServiceManager as _, UnitStore as _};

use super::guest::{Guest, UNMANAGED, runtime_dir, scope, systemctl};

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
