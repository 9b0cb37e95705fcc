//! The store before and after builds that were killed, and what they left.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use companion_core::model::image::ImageSource;
use companion_core::ports::ImageProvider as _;

use crate::guest::{Guest, podman};

/// Two stages that the last one copies from, one of them based on the other.
const STAGES: &str = "FROM localhost/companion-base:latest AS first
RUN echo first >/first
FROM first AS second
COPY page /page
RUN cat /first /page >/second
FROM localhost/companion-base:latest
COPY --from=second /second /second
RUN cat /second
";

/// Returns all images by ID, including intermediate ones, and all containers, including those of builds.
fn store() -> (Vec<String>, Vec<String>) {
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.dedup();
        lines
    };
    let images = podman("images --all --quiet --no-trunc");
    let containers = podman("ps --all --external --no-trunc --format {{.ID}}");
    (sorted(images), sorted(containers))
}

/// Returns the store after a prune for `source`, as a reconcile does it.
async fn pruned(guest: &Guest, source: &ImageSource) -> (Vec<String>, Vec<String>) {
    let dangling = guest.observe(source).await.unwrap().dangling;
    guest.images.prune(&dangling).await.unwrap();
    store()
}

/// Kills the podman that builds, if one does.
fn kill_podman() {
    Command::new("pkill").args(["-KILL", "-f", "^(/usr/bin/)?podman build"]).status().unwrap();
}

/// Returns the processes and directories of builds.
fn remains() -> Vec<String> {
    let mark = "companion-podman-";
    let found = Command::new("pgrep").args(["-a", "-f", mark]).output().unwrap().stdout;
    let processes = String::from_utf8(found).unwrap();
    let places = fs::read_dir("/var/tmp").unwrap().map(|entry| entry.unwrap().file_name());
    let places = places.filter_map(|name| name.into_string().ok());
    let places = places.filter(|name| name.starts_with(mark));
    processes.lines().map(str::to_owned).chain(places).collect()
}

/// Each kill is a little later in the build, up to its end.
#[tokio::test]
async fn a_build_killed_at_any_moment_leaves_nothing() {
    const KILLS: u32 = 25;
    let guest = Guest::new();
    let source = guest.source_of("killed-at", STAGES);
    let before = store();
    let started = Instant::now();
    guest.images.ensure(&source).await.unwrap();
    let duration = started.elapsed();
    for kill in 1..=KILLS {
        guest.write_page("killed-at", &kill.to_string());
        let moment = duration * kill / KILLS;
        let killed = async {
            tokio::time::sleep(moment).await;
            kill_podman();
        };
        let (image, ()) = tokio::join!(guest.images.ensure(&source), killed);
        podman("image rm --force --ignore localhost/killed-at:latest");
        assert_eq!(pruned(&guest, &source).await, before, "after {moment:?}: {image:?}");
        assert_eq!(remains(), [""; 0], "after {moment:?}: {image:?}");
    }
    podman("system check --quick");
}

/// A podman that is killed while it commits an image leaves an entry in the list of images, and no manifest.
#[tokio::test]
async fn an_image_without_a_manifest_affects_no_other_and_goes() {
    let guest = Guest::new();
    let source = guest.source("whole");
    guest.images.ensure(&source).await.unwrap();
    let before = store();
    let neighbour = guest.source("unfinished");
    // Podman reads an image also for another one with the same layers.
    guest.write_page("unfinished", "another one");
    let unfinished = guest.images.ensure(&neighbour).await.unwrap();
    let graph = podman("info --format {{.Store.GraphRoot}}");
    let directory = Path::new(&graph).join("overlay-images").join(unfinished.id.as_str());
    fs::remove_file(directory.join("manifest")).unwrap();
    podman("tag localhost/whole:latest localhost/renewed:latest");
    assert!(Command::new("podman").arg("images").output().unwrap().status.code() == Some(125));

    let whole = guest.observe(&source).await.unwrap();
    assert!(whole.is_current(), "{whole:?}");
    let damaged = guest.observe(&neighbour).await.unwrap();
    assert!(damaged.damaged && damaged.present.is_none(), "{damaged:?}");
    guest.podman.end_orphans().await;
    let again = guest.images.ensure(&neighbour).await.unwrap();
    assert_eq!(again.id, unfinished.id, "an image with a name is made again");

    podman("untag localhost/unfinished:latest");
    fs::remove_file(directory.join("manifest")).unwrap();
    guest.podman.end_orphans().await;
    podman("untag localhost/renewed:latest localhost/renewed:latest");
    assert_eq!(store(), before);
}

#[tokio::test]
async fn a_new_leader_removes_temporary_files_that_forbid_it() {
    let guest = Guest::new();
    // As a killed `RUN` leaves it, below a directory of an ended process.
    let directory = Path::new("/var/tmp/companion-podman-1-1-0");
    let mount_point = directory.join("buildah1/mnt");
    fs::create_dir_all(&mount_point).unwrap();
    fs::set_permissions(&mount_point, fs::Permissions::from_mode(0o100)).unwrap();
    guest.podman.end_orphans().await;
    assert!(!directory.exists());
}

/// As root: a killed build leaves the bind mounts of `RUN --mount=type=bind`, whose source is the build context.
#[tokio::test]
async fn as_root_what_a_build_mounted_is_unmounted_and_its_source_stays() {
    let guest = Guest::new();
    let context = tempfile::tempdir().unwrap();
    let page = context.path().join("page");
    fs::write(&page, "a page").unwrap();
    let directory = Path::new("/var/tmp/companion-podman-1-1-1");
    let mount_point = directory.join("buildah1/mounts1/bind1");
    fs::create_dir_all(&mount_point).unwrap();
    let mount = Command::new("mount").arg("--bind").arg(context.path()).arg(&mount_point).status();
    assert!(mount.unwrap().success());
    guest.podman.end_orphans().await;
    assert!(!directory.exists());
    assert_eq!(fs::read_to_string(page).unwrap(), "a page");
}
