//! Builds on a real Podman.

use std::fs;

use companion_core::model::image::{ImageId, Provenance};
use companion_core::ports::ImageProvider as _;

use crate::guest::{Guest, podman};

fn is_there(id: &ImageId) -> bool {
    podman("images --all --quiet --no-trunc").contains(id.as_str())
}

#[tokio::test]
async fn the_same_context_gives_the_same_image() {
    let guest = Guest::new();
    let source = guest.source("life");
    let first = guest.images.ensure(&source).await.unwrap();
    let state = guest.observe(&source).await.unwrap();
    guest.calls();
    assert_eq!(guest.observe(&source).await.unwrap(), state);
    assert_eq!(guest.images.ensure(&source).await.unwrap(), first);
    assert_eq!(guest.calls(), "", "observing a converged host starts no process");

    guest.write_page("life", "two");
    let second = guest.images.ensure(&source).await.unwrap();
    assert_ne!(second.id, first.id);
    guest.write_page("life", "one");
    assert_eq!(guest.images.ensure(&source).await.unwrap().id, first.id);
    podman("rmi localhost/life:latest");
    let rebuilt = guest.images.ensure(&source).await.unwrap();
    assert_eq!(rebuilt.id, first.id, "also after the image and its layers were removed");
}

/// Starts a container by image ID, as a unit does: it runs whatever the tag points to, and its image is not pruned.
#[tokio::test]
async fn image_of_a_container_by_id_stays_although_its_tag_moved() {
    let guest = Guest::new();
    let source = guest.source("by-id");
    let image = guest.images.ensure(&source).await.unwrap();
    podman(&format!("run --detach --rm --replace --name by-id {}", image.id));
    let shown = podman("ps --filter name=^by-id$ --format {{.Image}}");
    assert_eq!(shown, "localhost/by-id:latest", "people see the tag");
    podman("tag localhost/companion-base:latest localhost/by-id:latest");
    let state = guest.observe(&source).await.unwrap();
    assert_eq!(state.present.unwrap().provenance, Provenance::Unmanaged);
    assert!(state.dangling.is_empty(), "a container uses it");
    podman("image prune --force");
    assert!(is_there(&image.id));
    podman(&format!("run --detach --rm --replace --name by-id {}", image.id));
    let running = podman("container inspect --format {{.Image}} by-id");
    assert_eq!(running, image.id.as_str());
    podman("rm --force by-id");
    assert_eq!(guest.images.ensure(&source).await.unwrap().id, image.id, "it is built again");
}

#[tokio::test]
async fn podman_s_pause_process_stands_in_a_scope_of_its_own() {
    let guest = Guest::new();
    assert!(guest.podman.version().await.unwrap().starts_with(|c: char| c.is_ascii_digit()));
    guest.observe(&guest.source("pause")).await.unwrap();
    let pid = fs::read_to_string("/run/user/1000/libpod/tmp/pause.pid").unwrap();
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).unwrap();
    assert!(cgroup.contains("podman-pause-"), "{cgroup}");
}
