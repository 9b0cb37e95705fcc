//! Cleans up after calls that failed or were interrupted: processes, temporary files, and in the store the working
//! containers of a build's stages and an image without a manifest, left by a podman that was killed while writing it. The
//! whole images of stages have labels, by which they are pruned.
//!
//! buildah records a build's arguments with each working container (`<driver>-containers/<id>/userdata/buildah.json`,
//! unchanged from Podman 4.4 to 5.8). Our builds have an additional argument, [`ARGUMENT`], which no Dockerfile
//! declares and no image contains; it identifies our working containers. A podman that is killed while it makes or
//! removes one leaves it without a description, as a power loss may do. It is removed if it was made since the start of an
//! interrupted call of ours, and still has none after a second. A build that fails normally leaves nothing (`--force-rm`,
//! `--layers=false`), so there is usually nothing to find, and podman is not started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use host_files::blocking;
use image_source::{EngineError, EngineResult, ImageEngine as _};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::argv::{self, ARGUMENT};
use super::call_id::CallId;
use super::{Podman, remains, temporary};
use crate::store_index::{StoreIndex, is_id};

/// Maximum number of containers in a store that are inspected.
const CONTAINER_LIMIT: usize = 4096;

/// How long a working container may be without a description.
const DESCRIPTION_GRACE: Duration = Duration::from_secs(1);

/// Maximum size of a working container's description in bytes; it includes the configuration of its image.
const DESCRIPTION_LIMIT: u64 = 8 * 1024 * 1024;

/// The used fields of buildah's description of a working container.
#[derive(Debug, Deserialize)]
struct Description {
    #[serde(rename = "Args")]
    arguments: Option<BTreeMap<String, String>>,
}

impl Podman {
    /// Stops our builds, pulls and archives that outlived the process that started them, gracefully first, and returns how
    /// many. Then removes what calls of ended processes left: processes, working containers, images without a manifest
    /// and temporary directories.
    ///
    /// Only the process that builds calls this, before its first build: otherwise a hung build would hang forever,
    /// concurrently with a second one. Takes the grace of [`Limits`](super::Limits), some podman calls, and a few seconds.
    /// Failed removals are logged.
    pub async fn end_orphans(&self) -> usize {
        let orphans = blocking::within(self.limits.files, remains::orphans).await;
        let orphans = orphans.unwrap_or_default();
        let count = orphans.len();
        let ends: JoinSet<()> =
            orphans.into_iter().map(|orphan| orphan.end(self.limits.grace)).collect();
        ends.join_all().await;
        self.clean_up(None).await;
        count
    }

    /// Removes what `call` left, or without one, what all calls of ended processes left. Failed removals are logged and
    /// left to the next leader.
    pub(super) fn clean_up(
        &self,
        call: Option<CallId>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let podman = self.clone();
        // Boxed, because a removal is itself a call.
        Box::pin(async move {
            if let Err(error) = podman.try_clean_up(call).await {
                let reason = &error as &dyn std::error::Error;
                tracing::warn!(reason, "failed to find what an interrupted call left");
            }
        })
    }

    async fn try_clean_up(&self, call: Option<CallId>) -> EngineResult<()> {
        let is_left = move |id: CallId| call.map_or_else(|| !id.has_owner(), |call| call == id);
        let store = self.store().await?;
        let place = self.temporary_place(&store);
        let sweep = move || temporary::sweep(&place, is_left);
        let swept = blocking::within(self.limits.files, sweep).await.unwrap_or_else(|stuck| {
            tracing::warn!(reason = %stuck, "failed to remove temporary files");
            Vec::new()
        });
        let began = call.into_iter().chain(swept).map(CallId::called_at).min();
        let undescribed = self.undescribed(&store, began).await?;
        let read = move || {
            let mut containers = find(&store.container_directories(), is_left);
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
            let removed = self.run(argv::remove_container(container)).await;
            first_error = first_error.or(removed.err());
        }
        for id in &images {
            // Podman holds its lock while it writes an image. So what it refuses now was left by a killed one.
            let Err(EngineError::Damaged(_)) = self.run(argv::inspect_images([id])).await else {
                continue;
            };
            tracing::info!(%id, "removing an image that a killed podman left without a manifest");
            first_error = first_error.or(self.remove(id).await.err());
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Returns the working containers without a description that were made since `began`. A running build describes a
    /// container within milliseconds, so they are looked at twice.
    async fn undescribed(
        &self,
        store: &Arc<StoreIndex>,
        began: Option<SystemTime>,
    ) -> EngineResult<BTreeSet<String>> {
        let Some(began) = began else { return Ok(BTreeSet::new()) };
        let look = || {
            let store = Arc::clone(store);
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

/// Returns the working containers below `directory` of builds that `is_left` selects. Unreadable descriptions are skipped.
fn find(directory: &Path, is_left: impl Fn(CallId) -> bool) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().take(CONTAINER_LIMIT);
    let found = entries.filter_map(|entry| {
        let container = entry.file_name().into_string().ok().filter(|name| is_id(name))?;
        let description = read(&entry.path().join("userdata/buildah.json"))?;
        let id = CallId::parse(description.arguments?.get(ARGUMENT)?)?;
        is_left(id).then_some(container)
    });
    found.collect()
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

    #[test]
    fn only_working_containers_of_our_builds_are_found() {
        let store = tempfile::tempdir().unwrap();
        let running = CallId::next();
        let marked = |id: &str| format!(r#"{{"{ARGUMENT}":"{id}"}}"#);
        let of_running = container(store.path(), 'a', &marked(&running.to_string()));
        let of_ended = container(store.path(), 'b', &marked("1-1-0"));
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
        assert_eq!(find(store.path(), |id| !id.has_owner()), [of_ended]);
        assert_eq!(find(store.path(), |id| id == running), [of_running]);
        assert!(find(&store.path().join("none"), |_| true).is_empty());
    }
}
