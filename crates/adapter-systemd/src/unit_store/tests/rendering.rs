//! Units rendered for another host, and edited units.

use std::fs;

use companion_core::model::container::{AbsolutePath, BindMount};

use super::*;

#[tokio::test]
async fn another_podman_makes_units_outdated_and_not_edited() {
    let place = Place::new();
    let (clone, older) = (place.store.clone(), PodmanVersion::new(4, 5, 0));
    place.store.write(&unit(2)).await.unwrap();
    clone.set_facts(older.into());
    let revision = written(&unit(2));
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Outdated { revision });
    let text = fs::read_to_string(place.file("web")).unwrap();
    fs::write(place.file("web"), text.replace("Network=bridge", "Network=host")).unwrap();
    let drifted = UnitFileState::Drifted { revision: Some(revision) };
    assert_eq!(place.state(&unit(0)).await, drifted);
    place.store.write(&unit(2)).await.unwrap();
    let revision = render_unit(&unit(2), Scope::User, older.into()).unwrap().revision;
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Current { revision });
    clone.set_facts(PODMAN.into());
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Outdated { revision });
}

#[tokio::test]
async fn selinux_enforced_while_it_runs_makes_units_with_mounts_outdated() {
    let place = Place::new();
    let mut unit = unit(0);
    let source = AbsolutePath::new("/data/x").unwrap();
    let target = AbsolutePath::new("/in").unwrap();
    unit.container.mounts = vec![BindMount { source, target, read_only: true }];
    place.store.set_facts(PODMAN.into());
    place.store.write(&unit).await.unwrap();
    place.store.set_facts(HostFacts { podman: PODMAN, enforces_selinux: true });
    assert_eq!(place.state(&unit).await, UnitFileState::Outdated { revision: written(&unit) });
    place.store.write(&unit).await.unwrap();
    assert!(fs::read_to_string(place.file("web")).unwrap().contains("Volume=/data/x:/in:ro,z\n"));
}

#[tokio::test]
async fn a_unit_of_a_release_without_renderings_is_outdated() {
    let place = Place::made();
    let text = crate::container_unit(&unit(1), Scope::User).render(PODMAN).unwrap();
    fs::write(place.file("web"), text).unwrap();
    let revision = unit(1).revision;
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Outdated { revision });
    place.store.write(&unit(1)).await.unwrap();
    assert_eq!(place.state(&unit(0)).await, current(&unit(1)));
}
