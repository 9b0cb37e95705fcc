//! Units rendered for another host, and edited units.

use std::fs;

use super::*;

#[tokio::test]
async fn another_podman_makes_units_outdated_and_not_edited() {
    let place = Place::new();
    let (clone, older) = (place.store.clone(), PodmanVersion::new(4, 5, 0));
    place.store.write(&unit(2)).await.unwrap();
    clone.set_podman_version(older);
    let revision = written(&unit(2));
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Outdated { revision });
    let text = fs::read_to_string(place.file("web")).unwrap();
    fs::write(place.file("web"), text.replace("Network=bridge", "Network=host")).unwrap();
    let drifted = UnitFileState::Drifted { revision: Some(revision) };
    assert_eq!(place.state(&unit(0)).await, drifted);
    place.store.write(&unit(2)).await.unwrap();
    let revision = render_unit(&unit(2), Scope::User, older).unwrap().revision;
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Current { revision });
    clone.set_podman_version(PODMAN);
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Outdated { revision });
}

#[tokio::test]
async fn a_unit_of_a_release_without_renderings_is_outdated() {
    let place = Place::made();
    let text =
        crate::container_unit(&unit(1), Scope::User, PODMAN).unwrap().render(PODMAN).unwrap();
    fs::write(place.file("web"), text).unwrap();
    let revision = unit(1).revision;
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Outdated { revision });
    place.store.write(&unit(1)).await.unwrap();
    assert_eq!(place.state(&unit(0)).await, current(&unit(1)));
}
