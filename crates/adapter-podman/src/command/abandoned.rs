//! Cleans up after interrupted builds: each leaves the working containers of its stages, and one that was killed while
//! it wrote an image, an image without a manifest. The whole images of stages have labels, by which they are pruned.
//!
//! buildah records a build's arguments with each working container (`<driver>-containers/<id>/userdata/buildah.json`,
//! unchanged from Podman 4.4 to 5.8). Our builds have an additional argument, [`ARGUMENT`], which no Dockerfile
//! declares and no image contains; it identifies our working containers. A podman that is killed while it makes or
//! removes one leaves it without a description, as a power loss may do. It is removed if it was made since the start of an
//! interrupted call of ours, and still has none after a second. A build that fails normally leaves nothing (`--force-rm`, `--layers=false`), so there is usually nothing to
//! find, and podman is not started.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use image_source::{Build, Reader};
use rustix::process::{Pid, getpid};
use serde::Deserialize;

use super::{Podman, argv, tree};
use crate::error::{PodmanError, Verb};
use crate::store_index::is_id;

/// The build argument that identifies our builds.
pub(super) const ARGUMENT: &str = "COMPANION_BUILD";

/// Maximum number of containers in a store that are inspected.
const CONTAINER_LIMIT: usize = 4096;

/// How long a working container may be without a description.
const DESCRIPTION_GRACE: Duration = Duration::from_secs(1);

/// Maximum size of a working container's description in bytes; it includes the configuration of its image.
const DESCRIPTION_LIMIT: u64 = 8 * 1024 * 1024;

/// Identifies a build: the process that started it, that process's start time, and a number within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuildId {
    process: i32,
    started: u64,
    number: u64,
}

impl BuildId {
    /// Returns the next build ID of this process. Blocks on `/proc`.
    pub(super) fn next() -> Self {
        static BUILDS: AtomicU64 = AtomicU64::new(0);
        let (process, number) = (getpid(), BUILDS.fetch_add(1, Ordering::Relaxed));
        let started = tree::started(process).unwrap_or_default();
        Self { process: process.as_raw_nonzero().get(), started, number }
    }

    /// Returns whether the process that started the build is alive. Blocks on `/proc`.
    pub(super) fn has_owner(self) -> bool {
        let started = Pid::from_raw(self.process).and_then(tree::started);
        started == Some(self.started)
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.process, self.started, self.number)
    }
}

impl FromStr for BuildId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().ok_or(());
        let process = next()?.parse().map_err(|_| ())?;
        let started = next()?.parse().map_err(|_| ())?;
        Ok(Self { process, started, number: next()?.parse().map_err(|_| ())? })
    }
}

/// The used fields of buildah's description of a working container.
#[derive(Debug, Deserialize)]
struct Description {
    #[serde(rename = "Args")]
    arguments: Option<BTreeMap<String, String>>,
}

impl Podman {
    /// Runs `build`; what it leaves is removed if it fails.
    pub(crate) async fn run_build(&self, build: &Build<'_>) -> Result<(), PodmanError> {
        let id = Reader::default().read(self.limits.files, BuildId::next).await;
        let id = id.map_err(|_| PodmanError::NoAnswer { place: "/proc".to_owned() })?;
        let labels_stages = self.store().await?.podman_is_at_least(4, 7);
        let args = argv::build(build, id, labels_stages)?;
        self.run_for(Verb::Build, args, Some(id)).await?;
        Ok(())
    }

    /// Removes what `build` left, or without one, what all our builds of ended processes left; the first of them began at
    /// `began`, if there was one. Failed removals are logged and left to the next leader.
    pub(super) fn remove_abandoned(
        &self,
        build: Option<BuildId>,
        began: Option<SystemTime>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let podman = self.clone();
        // Boxed, because a removal is itself a call.
        Box::pin(async move {
            if let Err(error) = podman.try_remove_abandoned(build, began).await {
                let reason = &error as &dyn std::error::Error;
                tracing::warn!(reason, "failed to find working containers of interrupted builds");
            }
        })
    }

    async fn try_remove_abandoned(
        &self,
        build: Option<BuildId>,
        began: Option<SystemTime>,
    ) -> Result<(), PodmanError> {
        let undescribed = self.undescribed(began).await?;
        let store = self.store().await?;
        let read = move || {
            let mut containers = find(store.container_directories(), build);
            containers.extend(undescribed);
            // An older podman writes an image in steps, so one of a running pull would be taken for unfinished.
            let images = match store.podman_is_at_least(4, 7) {
                true => store.unfinished_images(),
                false => Vec::new(),
            };
            (containers, images)
        };
        let (containers, images) = self.read_store(read).await?;
        let mut first_error = None;
        for container in &containers {
            tracing::info!(container, "removing the working container of an interrupted build");
            let removed = self.run(Verb::Rm, argv::remove_container(container)).await;
            first_error = first_error.or(removed.err());
        }
        for id in &images {
            // Podman holds its lock while it writes an image. So what it refuses now was left by a killed one.
            match self.run(Verb::ImageInspect, argv::inspect_images([id])).await {
                Err(error) if error.is_damage() => {}
                _ => continue,
            }
            tracing::info!(%id, "removing an image that a killed podman left without a manifest");
            first_error = first_error.or(self.remove_image(id).await.err());
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Returns the working containers without a description that were made since `began`. A running build describes a
    /// container within milliseconds, so they are looked at twice.
    async fn undescribed(
        &self,
        began: Option<SystemTime>,
    ) -> Result<BTreeSet<String>, PodmanError> {
        let Some(began) = began else { return Ok(BTreeSet::new()) };
        let store = self.store().await?;
        let look = || {
            let store = Arc::clone(&store);
            self.read_store(move || store.undescribed_containers(began))
        };
        let found = look().await?;
        if found.is_empty() {
            return Ok(found);
        }
        tokio::time::sleep(DESCRIPTION_GRACE).await;
        let still = look().await?;
        Ok(found.intersection(&still).cloned().collect())
    }
}

/// Returns the working containers below `directory` that belong to `build`, or without one, to all our builds of ended
/// processes. Unreadable descriptions are skipped.
fn find(directory: &Path, build: Option<BuildId>) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().take(CONTAINER_LIMIT);
    entries
        .filter_map(|entry| {
            let container = entry.file_name().into_string().ok().filter(|name| is_id(name))?;
            let description = read(&entry.path().join("userdata/buildah.json"))?;
            let id: BuildId = description.arguments?.get(ARGUMENT)?.parse().ok()?;
            let is_wanted = build.map_or_else(|| !id.has_owner(), |build| build == id);
            is_wanted.then_some(container)
        })
        .collect()
}

fn read(path: &Path) -> Option<Description> {
    let data = fs::symlink_metadata(path).ok()?;
    if !data.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(DESCRIPTION_LIMIT).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(store: &Path, digit: char, arguments: &str) -> String {
        let id = digit.to_string().repeat(64);
        let userdata = store.join(&id).join("userdata");
        fs::create_dir_all(&userdata).unwrap();
        // Written by Podman 5.4.2, shortened.
        let text = format!(
            r#"{{"Args":{arguments},"type":"buildah 0.0.1","image":"localhost/base:latest",
                "container-name":"base-working-container"}}"#
        );
        fs::write(userdata.join("buildah.json"), text).unwrap();
        id
    }

    fn found(store: &Path, build: Option<BuildId>) -> Vec<String> {
        let mut found = find(store, build);
        found.sort();
        found
    }

    #[test]
    fn only_working_containers_of_our_builds_are_found() {
        let store = tempfile::tempdir().unwrap();
        let running = BuildId::next();
        let ended = BuildId { started: running.started + 1, ..running };
        let marked = |id: BuildId| format!(r#"{{"{ARGUMENT}":"{id}"}}"#);
        let of_running = container(store.path(), 'a', &marked(running));
        let of_ended = container(store.path(), 'b', &marked(ended));
        for (digit, arguments) in [
            ('c', "null"),
            ('d', "{}"),
            ('f', r#"{"COMPANION_BUILD":"something"}"#),
            ('0', r#"{"OTHER":"1-2-3"}"#),
            ('1', "7"),
        ] {
            container(store.path(), digit, arguments);
        }
        fs::create_dir_all(store.path().join("2".repeat(64))).unwrap();
        fs::write(store.path().join("containers.json"), "[]").unwrap();
        for (build, expected) in
            [(None, &of_ended), (Some(running), &of_running), (Some(ended), &of_ended)]
        {
            assert_eq!(found(store.path(), build), std::slice::from_ref(expected), "{build:?}");
        }
        assert_eq!(found(&store.path().join("none"), None), Vec::<String>::new());
    }

    #[test]
    fn a_build_id_is_read_as_it_is_written() {
        let (one, other) = (BuildId::next(), BuildId::next());
        assert_ne!(one, other);
        assert_eq!(one.to_string().parse(), Ok(one));
        assert!(one.has_owner() && one.started > 0);
        for text in ["", "1", "1-2", "1-2-", "-1-2-3-4", "a-b-c", "1-2-3-4"] {
            assert_eq!(text.parse::<BuildId>(), Err(()), "{text}");
        }
    }
}
