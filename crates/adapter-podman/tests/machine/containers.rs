//! Containers on a real Podman.

use std::collections::{BTreeMap, BTreeSet};

use adapter_podman::PodmanContainers;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerRuntime as _, PortErrorKind, PortResult};

use crate::guest::{Guest, podman};

fn read(
    states: BTreeMap<CompanionName, PortResult<ContainerState>>,
) -> BTreeMap<CompanionName, ContainerState> {
    states.into_iter().map(|(name, state)| (name, state.unwrap())).collect()
}

#[tokio::test]
async fn only_containers_with_our_labels_are_removed() {
    let guest = Guest::new();
    let containers = PodmanContainers::new(guest.podman.clone());
    let names = ["facts-a", "facts-b", "facts-c", "facts"].map(|n| CompanionName::new(n).unwrap());
    let [ours, legacy, unmanaged, absent] = &names;
    let image = "localhost/companion-base:latest";
    podman(&format!("run --detach --replace --name {ours} --label companion.name={ours} {image}"));
    podman(&format!(
        "create --replace --name {legacy} --label PODMAN_SYSTEMD_UNIT={legacy}.service {image}"
    ));
    podman(&format!("create --replace --name {unmanaged} --label companion.name={ours} {image}"));

    let states = read(containers.observe(&BTreeSet::from(names.clone())).await);
    let is = |status: &str| ContainerState::Ours { status: status.to_owned() };
    assert_eq!(states[ours], is("running"));
    assert_eq!(states[legacy], is("created"));
    assert_eq!(
        states[unmanaged],
        ContainerState::Unmanaged { what: format!("a container of image {image}") }
    );
    assert_eq!(states[absent], ContainerState::Absent);
    assert_eq!(guest.calls().lines().count(), 1);

    let error = containers.remove(unmanaged).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Conflict);
    for name in [ours, legacy, absent] {
        containers.remove(name).await.unwrap();
    }
    let left = read(containers.observe(&BTreeSet::from(names.clone())).await);
    assert!([ours, legacy].iter().all(|name| left[*name] == ContainerState::Absent));
    assert_eq!(left[unmanaged], states[unmanaged]);
    podman(&format!("rm {unmanaged}"));
}
