//! [`PodmanImages`]: [`Images`] on the podman command, which is its [`ImageEngine`].
//!
//! The listing is refreshed only if the store's index changed, so observing a converged host starts no process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::image::{ImageId, ImageRef, PullSource};
use companion_core::ports::{PortError, PortErrorKind};
use host_files::blocking;
use image_source::{Build, EngineError, EngineResult, ImageEngine, Images, Listing, Platform};
use serde::de::IgnoredAny;
use tokio::task::JoinSet;

use self::listing::Inspected;
use crate::command::{Podman, argv};

pub(crate) mod listing;

/// How many images are inspected concurrently one by one.
const AT_ONCE: usize = 4;

/// The images of a podman.
pub type PodmanImages = Images<Podman>;

#[async_trait]
impl ImageEngine for Podman {
    async fn list(&self) -> EngineResult<Arc<Listing>> {
        self.listing().await
    }

    fn watched_files(&self) -> Vec<PathBuf> {
        self.known_index().into_iter().collect()
    }

    async fn platforms(
        &self,
        images: &BTreeSet<ImageId>,
    ) -> BTreeMap<ImageId, EngineResult<Platform>> {
        let inspected = self.inspect_each(images).await.into_iter();
        inspected.map(|(id, image)| (id, image.map(|image| image.platform))).collect()
    }

    async fn build(&self, build: &Build<'_>) -> EngineResult<()> {
        let labels_stages = self.store().await?.podman_is_at_least(4, 7);
        self.run(argv::build(build, labels_stages)?).await.map(drop)
    }

    async fn pull(&self, source: &PullSource) -> EngineResult<()> {
        self.run(argv::pull(source)).await.map(drop)
    }

    async fn remove(&self, image: &ImageId) -> EngineResult<bool> {
        let exit = self.exit(argv::remove_image(image)).await?;
        match exit.code() {
            // podman-image-rm(1): 1 means that the image does not exist, 2 that it is in use.
            Some(1 | 2) => Ok(false),
            _ => exit.answer().map(|_| true),
        }
    }

    /// Podman itself syncs its lists and its database, but not the files of layers. Layers belong to subordinate IDs, so
    /// they cannot be opened and synced one by one: whole file systems are.
    async fn sync(&self) -> EngineResult<()> {
        let store = self.store().await?;
        let synced = blocking::within(self.limits().sync, move || store.sync()).await;
        let attempt = "write the image store to the disk";
        synced.map_err(|stuck| EngineError::Host(stuck.during(attempt)))?
    }

    /// Force also removes the containers that use an image, so it is used for an image that none uses, and only if podman
    /// could not remove it without.
    async fn discard(&self, image: &ImageId) -> EngineResult<()> {
        let exit = self.exit(argv::remove_image(image)).await?;
        match exit.code() {
            // As in `remove`: 1 means that the image does not exist.
            Some(0 | 1) => return Ok(()),
            Some(125) => {}
            _ => return exit.answer().map(drop),
        }
        let users: Option<Vec<IgnoredAny>> = self.query(argv::containers_of(image)).await?;
        if users.is_some_and(|users| !users.is_empty()) {
            return exit.answer().map(drop);
        }
        self.run(argv::discard_image(image)).await.map(drop)
    }

    async fn save(&self, image: &ImageId, path: &Path, limit: u64) -> EngineResult<()> {
        let inspected = self.inspect(&BTreeSet::from([image.clone()])).await;
        for Inspected { size, format, .. } in
            inspected.into_values().collect::<EngineResult<Vec<_>>>()?
        {
            if size > limit {
                let message =
                    format!("the image has {size} bytes; {limit} are left for its archive");
                return Err(PortError::new(PortErrorKind::Invalid, message).into());
            }
            self.run(argv::save(image, path, format)).await?;
        }
        Ok(())
    }

    /// If the archive did not have `image`, or `image` cannot get the name, what was loaded is removed, but no image that
    /// was there before: a removal by ID takes the only name, too.
    async fn restore(&self, path: &Path, image: &ImageId, name: &ImageRef) -> EngineResult<()> {
        let before = self.listing().await?;
        let answer = self.run(argv::load(path)).await?;
        let tagged = self.run(argv::tag(image, name)).await;
        let is_kept = |id: &ImageId| {
            id == image && tagged.is_ok() || before.images.iter().any(|known| known.id == *id)
        };
        for loaded in listing::loaded(&answer).iter().filter(|id| !is_kept(id)) {
            self.remove(loaded).await?;
        }
        tagged.map(drop)
    }

    fn file_limit(&self) -> Duration {
        self.limits().files
    }
}

/// The answer for each of some inspected images.
type EachInspected = BTreeMap<ImageId, EngineResult<Inspected>>;

impl Podman {
    /// Inspects all of `images` in one call, and retries those that it does not describe one by one.
    pub(crate) async fn inspect_each(&self, images: &BTreeSet<ImageId>) -> EachInspected {
        let mut found = self.inspect(images).await;
        let alone = |(id, described): (&ImageId, &EngineResult<Inspected>)| {
            (images.len() > 1 && described.is_err()).then(|| BTreeSet::from([id.clone()]))
        };
        let mut left: Vec<_> = found.iter().filter_map(alone).collect();
        while !left.is_empty() {
            let mut calls = JoinSet::new();
            for one in left.split_off(left.len().saturating_sub(AT_ONCE)) {
                let podman = self.clone();
                calls.spawn(async move { podman.inspect(&one).await });
            }
            while let Some(call) = calls.join_next().await {
                // If it panicked, the failure of the combined call stays.
                found.extend(call.unwrap_or_default());
            }
        }
        found
    }

    /// Inspects `images` in one call, which fails as a whole if one of them cannot be inspected.
    async fn inspect(&self, images: &BTreeSet<ImageId>) -> EachInspected {
        let answer = self.run(argv::inspect_images(images)).await;
        let described = answer.and_then(|answer| listing::inspected(&answer));
        let undescribed = |id: &ImageId| {
            let message = format!("`podman image inspect` does not describe the image {id}");
            PortError::new(PortErrorKind::Unavailable, message).into()
        };
        let one = |id: &ImageId| match &described {
            Ok(described) => described.get(id).cloned().ok_or_else(|| undescribed(id)),
            Err(error) => Err(error.clone()),
        };
        images.iter().map(|id| (id.clone(), one(id))).collect()
    }
}
