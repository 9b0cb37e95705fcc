//! Builds on a real Podman.

use std::fs;

use companion_core::model::image::{ImageId, Provenance};
use companion_core::ports::{ImageProvider as _, PortErrorKind};

use crate::guest::{Guest, podman};

fn is_there(id: &ImageId) -> bool {
    podman("images --all --quiet --no-trunc").contains(id.as_str())
}

#[tokio::test]
async fn a_companion_s_image_goes_through_its_life() {
    let guest = Guest::new();
    let source = guest.source("life");
    let absent = guest.observe(&source).await.unwrap();
    assert!(absent.present.is_none() && absent.context.is_some() && !absent.is_current());

    let first = guest.images.ensure(&source).await.unwrap();
    let state = guest.observe(&source).await.unwrap();
    let context = state.context.unwrap();
    assert!(state.is_current());
    assert_eq!(first.provenance, Provenance::Built { context });

    guest.calls();
    assert_eq!(guest.observe(&source).await.unwrap(), state);
    assert_eq!(guest.images.ensure(&source).await.unwrap(), first);
    assert_eq!(guest.calls(), "", "observing a converged host starts no process");

    guest.write_page("life", "two");
    assert!(!guest.observe(&source).await.unwrap().is_current());
    let second = guest.images.ensure(&source).await.unwrap();
    assert_ne!(second.id, first.id);
    let state = guest.observe(&source).await.unwrap();
    assert_eq!(state.dangling.iter().collect::<Vec<_>>(), [&first.id]);

    guest.images.prune(&state.dangling).await.unwrap();
    guest.images.prune(&state.dangling).await.unwrap();
    assert!(!is_there(&first.id) && is_there(&second.id));
    assert!(guest.observe(&source).await.unwrap().dangling.is_empty());

    guest.write_page("life", "one");
    let again = guest.images.ensure(&source).await.unwrap();
    assert_eq!(again.id, first.id, "the same context gives the same image");

    podman("rmi localhost/life:latest");
    assert!(guest.observe(&source).await.unwrap().present.is_none());
    let rebuilt = guest.images.ensure(&source).await.unwrap();
    assert_eq!(rebuilt.id, first.id, "also after the image and its layers were removed");
}

#[tokio::test]
async fn external_store_changes_are_seen_at_the_next_observation() {
    let guest = Guest::new();
    let source = guest.source("seen");
    let first = guest.images.ensure(&source).await.unwrap();
    guest.observe(&source).await.unwrap();
    podman("tag localhost/companion-base:latest localhost/seen:latest");
    let moved = guest.observe(&source).await.unwrap();
    assert_eq!(moved.present.as_ref().unwrap().provenance, Provenance::Unmanaged);
    assert_eq!(moved.dangling.iter().collect::<Vec<_>>(), [&first.id]);
    podman(&format!("tag {} localhost/seen:latest", first.id));
    assert!(guest.observe(&source).await.unwrap().is_current());
    podman("untag localhost/seen:latest");
    assert!(guest.observe(&source).await.unwrap().present.is_none());
    let rebuilt = guest.images.ensure(&source).await.unwrap();
    assert_eq!(rebuilt.id, first.id);
}

#[tokio::test]
async fn an_old_image_is_dangling_only_without_containers() {
    let guest = Guest::new();
    let source = guest.source("used");
    let first = guest.images.ensure(&source).await.unwrap();
    podman("run --detach --rm --replace --name used-by localhost/used:latest");
    guest.write_page("used", "two");
    guest.images.ensure(&source).await.unwrap();
    assert!(guest.observe(&source).await.unwrap().dangling.is_empty());
    guest.images.prune(std::slice::from_ref(&first.id)).await.unwrap();
    assert!(is_there(&first.id));
    podman("rm --force used-by");
    let state = guest.observe(&source).await.unwrap();
    assert_eq!(state.dangling, [first.id]);
    guest.calls();
    guest.observe(&source).await.unwrap();
    assert_eq!(guest.calls(), "");
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
async fn a_build_that_fails_keeps_the_last_good_image_and_says_why() {
    let guest = Guest::new();
    let source = guest.source("broken");
    let good = guest.images.ensure(&source).await.unwrap();
    let dockerfile = "FROM localhost/companion-base:latest\nRUN echo it broke >&2; exit 3\n";
    let source = guest.source_of("broken", dockerfile);
    let error = guest.images.ensure(&source).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid, "{}", error.chain());
    let chain = error.chain();
    assert!(chain.contains("exit status 3") && chain.contains("it broke"), "{chain}");
    let state = guest.observe(&source).await.unwrap();
    assert_eq!(state.present.as_ref(), Some(&good));
    assert!(!state.is_current());
}

#[tokio::test]
async fn build_arguments_reach_the_build_and_change_the_image() {
    let guest = Guest::new();
    let dockerfile =
        "FROM localhost/companion-base:latest\nARG WORDS=none\nRUN echo \"$WORDS\" >/words\n";
    let mut source = guest.source_of("arguments", dockerfile);
    let plain = guest.images.ensure(&source).await.unwrap();
    let words = "a, b=c --tag=x \"d\"".to_owned();
    source.build.as_mut().unwrap().arguments.insert("WORDS".into(), words.clone());
    assert!(!guest.observe(&source).await.unwrap().is_current());
    let other = guest.images.ensure(&source).await.unwrap();
    assert_ne!(other.id, plain.id);
    assert_eq!(podman("run --rm localhost/arguments:latest cat /words"), words);
}

#[tokio::test]
async fn two_companions_of_one_image_build_it_once() {
    let guest = Guest::new();
    let source = guest.source("shared");
    let (one, other) = tokio::join!(guest.images.ensure(&source), guest.images.ensure(&source));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(guest.calls().lines().filter(|call| call.starts_with("build ")).count(), 1);
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
