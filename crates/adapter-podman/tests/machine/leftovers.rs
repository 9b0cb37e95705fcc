//! The store before and after builds of every outcome: only the image of a build stays.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

/// The same with slow work outside of a `RUN` in the second stage.
const SLOW: &str = "FROM localhost/companion-base:latest AS first
RUN echo first >/first
FROM first AS second
COPY large /1
COPY large /2
COPY large /3
COPY large /4
COPY large /5
COPY large /6
FROM localhost/companion-base:latest
COPY --from=second /first /first
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

fn write_large(guest: &Guest, name: &str) {
    let bytes: Vec<u8> = (0_u32..40 * 1024 * 1024 / 4).flat_map(u32::to_ne_bytes).collect();
    fs::write(guest.file_of(name, "large"), bytes).unwrap();
}

/// Returns the processes that copy into a stage, by the name that buildah gives them.
fn copiers() -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let line = |entry: fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.starts_with(b"buildah-copier").then(|| entry.file_name().into_string().unwrap())
    };
    entries.filter_map(line).collect()
}

/// Waits until a build copies in its second stage and has two working containers.
async fn until_it_copies_in_the_second_stage(before: usize) {
    loop {
        let copies = !copiers().is_empty();
        let containers = podman("ps --all --external --quiet").lines().count();
        if copies && containers >= before + 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_build_of_several_stages_leaves_its_image_alone() {
    let guest = Guest::new();
    let source = guest.source_of("stages", STAGES);
    let before = store();
    let first = guest.images.ensure(&source).await.unwrap();
    let added = |store: &[String]| store.iter().filter(|id| !before.0.contains(id)).count();
    let after = store();
    assert_eq!((added(&after.0), &after.1), (1, &before.1), "{after:?}");

    guest.write_page("stages", "two");
    let second = guest.images.ensure(&source).await.unwrap();
    assert_ne!(second.id, first.id);
    let leftovers = guest.observe(&source).await.unwrap().dangling;
    guest.images.prune(&leftovers).await.unwrap();
    let after = store();
    assert_eq!((added(&after.0), &after.1), (1, &before.1), "{after:?}");

    guest.write_page("stages", "one");
    let again = guest.images.ensure(&source).await.unwrap();
    assert_eq!(again.id, first.id, "the same context gives the same image");
    podman("image rm --force localhost/stages:latest");
}

#[tokio::test]
async fn a_build_that_fails_in_a_later_stage_leaves_nothing() {
    let guest = Guest::new();
    let failing = STAGES.replace("RUN cat /first /page >/second", "RUN exit 3");
    let source = guest.source_of("fails-late", &failing);
    let before = store();
    guest.images.ensure(&source).await.unwrap_err();
    assert_eq!(store(), before);
}

#[tokio::test]
async fn a_build_that_is_cancelled_outside_of_a_run_leaves_nothing() {
    let guest = Guest::new();
    let source = guest.source_of("cancelled", SLOW);
    write_large(&guest, "cancelled");
    let before = store();
    tokio::select! {
        image = guest.images.ensure(&source) => panic!("it ended with {image:?}"),
        () = until_it_copies_in_the_second_stage(before.1.len()) => {}
    }
    guest.podman.settled().await;
    assert_eq!(store(), before);
    podman("system check --quick");
}

#[tokio::test]
async fn a_build_whose_podman_is_killed_leaves_nothing() {
    let guest = Guest::new();
    let source = guest.source_of("killed", SLOW);
    write_large(&guest, "killed");
    let before = store();
    let killed = async {
        until_it_copies_in_the_second_stage(before.1.len()).await;
        let pids =
            Command::new("pgrep").args(["-f", "^(/usr/bin/)?podman build"]).output().unwrap();
        let pids = String::from_utf8(pids.stdout).unwrap();
        let status = Command::new("kill").arg("-KILL").args(pids.split_whitespace()).status();
        assert!(status.unwrap().success(), "{pids}");
    };
    let (image, ()) = tokio::join!(guest.images.ensure(&source), killed);
    let text = image.unwrap_err().chain();
    assert!(text.contains("signal 9"), "{text}");
    assert_eq!(store(), before);
    podman("system check --quick");
}

/// Starts a build without the adapter, and kills it while it copies in its second stage.
async fn killed_build(directory: &Path, option: &str) {
    let before = podman("ps --all --external --quiet").lines().count();
    let mut build: Child = Command::new("podman")
        .args(["build", "--layers=false", "--timestamp=0", option])
        .arg(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    until_it_copies_in_the_second_stage(before).await;
    let group = format!("-{}", build.id());
    assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
    build.wait().unwrap();
    // A remaining copier would be mistaken for the next build's.
    while !copiers().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_new_leader_cleans_up_after_our_killed_builds_only() {
    let guest = Guest::new();
    guest.source_of("orphaned", SLOW);
    write_large(&guest, "orphaned");
    let directory = guest.file_of("orphaned", "");
    let before = store();
    // A build of an ended process: no process with this ID started at the first tick of the clock.
    killed_build(&directory, "--build-arg=COMPANION_BUILD=1-1-0").await;
    assert!(store().1.len() > before.1.len(), "a killed build leaves containers");
    guest.podman.end_orphans().await;
    assert_eq!(store(), before);

    killed_build(&directory, "--build-arg=OTHER=1-1-0").await;
    let theirs = store();
    assert!(theirs.1.len() > before.1.len(), "a killed build leaves containers");
    guest.podman.end_orphans().await;
    assert_eq!(store(), theirs, "other builds' containers stay");
    for container in theirs.1.iter().filter(|id| !before.1.contains(id)) {
        podman(&format!("rm --force {container}"));
    }
    for image in theirs.0.iter().filter(|id| !before.0.contains(id)) {
        podman(&format!("image rm {image}"));
    }
    podman("system check --quick");
}

#[tokio::test]
async fn the_build_id_argument_is_in_no_image() {
    let guest = Guest::new();
    let source: ImageSource = guest.source("unmarked");
    let image = guest.images.ensure(&source).await.unwrap();
    let described = podman(&format!("image inspect {}", image.id));
    let history = podman(&format!("history --no-trunc {}", image.id));
    assert!(!described.contains("COMPANION_BUILD") && !history.contains("COMPANION_BUILD"));
}
