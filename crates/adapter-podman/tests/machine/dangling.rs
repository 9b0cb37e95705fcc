//! The store before and after builds of every outcome: only the image of a build stays.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use companion_core::model::image::ImageSource;
use companion_core::ports::ImageProvider as _;

use rustix::process::{Pid, Signal, kill_process};

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

/// Returns the store after a prune for `source`, as a reconcile does it.
async fn pruned(guest: &Guest, source: &ImageSource) -> (Vec<String>, Vec<String>) {
    let dangling = guest.observe(source).await.unwrap().dangling;
    guest.images.prune(&dangling).await.unwrap();
    store()
}

fn write_large(guest: &Guest, name: &str) {
    let bytes: Vec<u8> = (0_u32..40 * 1024 * 1024 / 4).flat_map(u32::to_ne_bytes).collect();
    fs::write(guest.file_of(name, "large"), bytes).unwrap();
}

/// A stopped process that copies into a stage: its build goes on when it is dropped.
struct Copier(Pid);

impl Drop for Copier {
    fn drop(&mut self) {
        // It may have been killed.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Returns the processes that copy into a stage, by the name that buildah gives them.
fn copiers() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pid = |entry: fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let pid = entry.file_name().to_str()?.parse().ok()?;
        line.starts_with(b"buildah-copier").then(|| Pid::from_raw(pid)).flatten()
    };
    entries.filter_map(pid).collect()
}

/// Waits until a build copies in its second stage, which has the second of its working containers, and stops it there.
async fn in_the_second_stage(before: usize) -> Copier {
    loop {
        let stopped = copiers().into_iter().find(|pid| kill_process(*pid, Signal::STOP).is_ok());
        if let Some(copier) = stopped.map(Copier)
            && podman("ps --all --external --quiet").lines().count() >= before + 2
        {
            return copier;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_build_that_is_cancelled_outside_of_a_run_leaves_nothing() {
    let guest = Guest::new();
    let source = guest.source_of("cancelled", SLOW);
    write_large(&guest, "cancelled");
    let before = store();
    tokio::select! {
        image = guest.images.ensure(&source) => panic!("it ended with {image:?}"),
        copier = in_the_second_stage(before.1.len()) => drop(copier),
    }
    guest.podman.settled().await;
    // Podman may have finished the build before it got the signal.
    podman("image rm --force --ignore localhost/cancelled:latest");
    assert_eq!(pruned(&guest, &source).await, before);
    podman("system check --quick");
}

#[tokio::test]
async fn a_build_whose_podman_is_killed_leaves_nothing() {
    let guest = Guest::new();
    let source = guest.source_of("killed", SLOW);
    write_large(&guest, "killed");
    let before = store();
    let killed = async {
        let copier = in_the_second_stage(before.1.len()).await;
        kill_podman();
        copier
    };
    // The copier stays stopped: podman's death does not end it.
    let (image, _copier) = tokio::join!(guest.images.ensure(&source), killed);
    let text = image.unwrap_err().chain();
    assert!(text.contains("signal 9"), "{text}");
    assert_eq!(pruned(&guest, &source).await, before);
    podman("system check --quick");
}

/// Kills the podman that builds, if one does.
fn kill_podman() {
    let pids = Command::new("pgrep").args(["-f", "^(/usr/bin/)?podman build"]).output().unwrap();
    let pids = String::from_utf8(pids.stdout).unwrap();
    for pid in pids.lines().filter_map(|pid| Pid::from_raw(pid.parse().unwrap())) {
        // It may have ended.
        let _ = kill_process(pid, Signal::KILL);
    }
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
    let _copier = in_the_second_stage(before).await;
    let group = format!("-{}", build.id());
    assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
    build.wait().unwrap();
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
    assert_eq!(store().1, before.1);

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

#[tokio::test]
async fn the_build_id_argument_is_in_no_image() {
    let guest = Guest::new();
    let source: ImageSource = guest.source("unmarked");
    let image = guest.images.ensure(&source).await.unwrap();
    let described = podman(&format!("image inspect {}", image.id));
    let history = podman(&format!("history --no-trunc {}", image.id));
    assert!(!described.contains("COMPANION_BUILD") && !history.contains("COMPANION_BUILD"));
}
