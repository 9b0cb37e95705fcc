//! [`PodmanImages`]: [`Images`] on the podman command, which is its [`ImageEngine`].
//!
//! The listing is refreshed only if the store's index changed, so observing a converged host starts no process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::image::{ImageId, ImageRef, PullSource};
use image_source::{Build, EngineError, EngineResult, ImageEngine, Images, Listing, Platform};
use serde::de::IgnoredAny;
use tokio::task::JoinSet;

use self::listing::Inspected;
use crate::command::{Podman, argv};
use crate::error::{PodmanError, Verb};

pub(crate) mod listing;

/// How many images are inspected concurrently one by one.
const AT_ONCE: usize = 4;

/// The images of a podman.
pub type PodmanImages = Images<Podman>;

#[async_trait]
impl ImageEngine for Podman {
    async fn list(&self) -> EngineResult<Arc<Listing>> {
        Ok(self.listing().await?)
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
        Ok(self.run_build(build).await?)
    }

    async fn pull(&self, source: &PullSource) -> EngineResult<()> {
        self.run(Verb::Pull, argv::pull(source)).await?;
        Ok(())
    }

    async fn remove(&self, image: &ImageId) -> EngineResult<bool> {
        Ok(self.remove_image(image).await?)
    }

    async fn sync(&self, limit: Duration) -> EngineResult<()> {
        Ok(self.sync_store(limit).await?)
    }

    async fn discard(&self, image: &ImageId) -> EngineResult<()> {
        Ok(self.discard_image(image).await?)
    }

    async fn save(&self, image: &ImageId, path: &Path, limit: u64) -> EngineResult<()> {
        Ok(self.save_image(image, path, limit).await?)
    }

    async fn restore(&self, path: &Path, image: &ImageId, name: &ImageRef) -> EngineResult<()> {
        Ok(self.restore_image(path, image, name).await?)
    }

    fn sync_limit(&self) -> Duration {
        self.limits().sync
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
        let answer = self.run(Verb::ImageInspect, argv::inspect_images(images)).await;
        let described = answer.and_then(|answer| listing::inspected(&answer));
        let described = described.map_err(EngineError::from);
        let one = |id: &ImageId| match &described {
            Ok(described) => described.get(id).cloned().ok_or_else(|| undescribed(id).into()),
            Err(error) => Err(error.clone()),
        };
        images.iter().map(|id| (id.clone(), one(id))).collect()
    }

    async fn save_image(
        &self,
        image: &ImageId,
        path: &Path,
        limit: u64,
    ) -> Result<(), PodmanError> {
        let answer = self.run(Verb::ImageInspect, argv::inspect_images([image])).await?;
        let (bytes, format) = listing::packing(&answer)?;
        if bytes > limit {
            return Err(PodmanError::TooLarge { bytes, limit });
        }
        self.run(Verb::Save, argv::save(image, path, format)).await?;
        Ok(())
    }

    /// Loads an archive. If it did not have `image`, or `image` cannot get the name, what was loaded is removed, but no image
    /// that was there before: a removal by ID takes the only name, too.
    async fn restore_image(
        &self,
        path: &Path,
        image: &ImageId,
        name: &ImageRef,
    ) -> Result<(), PodmanError> {
        let before = self.listing().await?;
        let answer = self.run(Verb::Load, argv::load(path)).await?;
        let tagged = self.run(Verb::Tag, argv::tag(image, name)).await;
        let is_kept = |id: &ImageId| {
            id == image && tagged.is_ok() || before.images.iter().any(|known| known.id == *id)
        };
        for loaded in listing::loaded(&answer).iter().filter(|id| !is_kept(id)) {
            self.remove_image(loaded).await?;
        }
        tagged.map(drop)
    }

    /// Removes a damaged image. Force also removes the containers that use an image, so it is used for an image that
    /// none uses, and only if podman could not remove it without.
    async fn discard_image(&self, image: &ImageId) -> Result<(), PodmanError> {
        let error = match self.run(Verb::ImageRm, argv::remove_image(image)).await {
            // As in `remove_image`: 1 means that the image does not exist.
            Ok(_) | Err(PodmanError::Failed { status: Some(1), .. }) => return Ok(()),
            Err(error @ PodmanError::Failed { status: Some(125), .. }) => error,
            Err(error) => return Err(error),
        };
        let users: Option<Vec<IgnoredAny>> =
            self.query(Verb::Ps, argv::containers_of(image)).await?;
        if users.is_some_and(|users| !users.is_empty()) {
            return Err(error);
        }
        self.run(Verb::ImageRm, argv::discard_image(image)).await?;
        Ok(())
    }

    /// Removes an image; returns `false` for one that is missing or in use.
    pub(crate) async fn remove_image(&self, image: &ImageId) -> Result<bool, PodmanError> {
        match self.run(Verb::ImageRm, argv::remove_image(image)).await {
            Ok(_) => Ok(true),
            // podman-image-rm(1): 1 means that the image does not exist, 2 that it is in use.
            Err(PodmanError::Failed { status: Some(1 | 2), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl From<PodmanError> for EngineError {
    fn from(error: PodmanError) -> Self {
        let (is_of_the_host, is_damage) = (error.is_of_the_host(), error.is_damage());
        Self::new(error.kind(), error).of_the_host(is_of_the_host).of_damage(is_damage)
    }
}

/// The error for an image that podman does not describe.
fn undescribed(image: &ImageId) -> PodmanError {
    let why = format!("no description of the image {image}");
    PodmanError::Unreadable { call: Verb::ImageInspect, source: serde::de::Error::custom(why) }
}
