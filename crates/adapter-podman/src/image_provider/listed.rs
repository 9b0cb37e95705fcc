//! The last listing of the images, cached while the store is unchanged, and the platforms of images.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use companion_core::model::image::ImageId;
use tokio::task::JoinSet;

use super::listing::{self, Listing, Platform};
use super::{PodmanImages, lock};
use crate::command::argv;
use crate::error::{PodmanError, Verb};
use crate::store_index::{StoreIndex, StoreState};

/// How many images are inspected concurrently one by one.
const AT_ONCE: usize = 4;

/// A listing, valid while the installation, the store and the store's state are the same.
#[derive(Debug)]
pub(super) struct Listed {
    store: Arc<StoreIndex>,
    state: StoreState,
    listing: Arc<Listing>,
}

/// The platforms of images, one result each.
pub(super) type Platforms = BTreeMap<ImageId, Result<Platform, Arc<PodmanError>>>;

impl PodmanImages {
    /// Returns all images, from the cached listing if the store is unchanged.
    pub(super) async fn listing(&self) -> Result<Arc<Listing>, PodmanError> {
        let store = self.podman.store().await?;
        let before = self.state_of(&store).await?;
        if let Some(known) = &*lock(&self.known)
            && Arc::ptr_eq(&known.store, &store)
            && before.as_ref() == Some(&known.state)
        {
            return Ok(Arc::clone(&known.listing));
        }
        let answer = self.podman.run(Verb::Images, argv::images()).await?;
        let listing = Arc::new(Listing::parse(&answer)?);
        *lock(&self.known) = self.unchanged(store, before, &listing).await?;
        let listed: BTreeSet<&ImageId> = listing.ids().collect();
        lock(&self.platforms).retain(|id, _| listed.contains(id));
        Ok(listing)
    }

    async fn state_of(&self, store: &Arc<StoreIndex>) -> Result<Option<StoreState>, PodmanError> {
        let store = Arc::clone(store);
        self.podman.read_store(move || store.state()).await
    }

    /// Returns `listing` with the state in which it is valid: the store did not change in the meantime, and the index
    /// belongs to this store.
    async fn unchanged(
        &self,
        store: Arc<StoreIndex>,
        before: Option<StoreState>,
        listing: &Arc<Listing>,
    ) -> Result<Option<Listed>, PodmanError> {
        let Some(before) = before else { return Ok(None) };
        let listing = Arc::clone(listing);
        let read = move || {
            let is_true = store.state().as_ref() == Some(&before)
                && store.names_all(listing.ids().map(ImageId::as_str));
            is_true.then_some(Listed { store, state: before, listing })
        };
        self.podman.read_store(read).await
    }

    /// Returns the platforms of `images`; reads unknown ones in one call, and retries those that it does not describe
    /// one by one.
    pub(super) async fn platforms(&self, images: BTreeSet<ImageId>) -> Platforms {
        let unknown = self.unknown(&images);
        let mut failures = BTreeMap::new();
        if !unknown.is_empty()
            && let Err(error) = self.learn_platforms(&unknown).await
        {
            let (asked, left) = (unknown.len(), self.unknown(&images));
            let error = Arc::new(error);
            failures.extend(left.iter().map(|id| (id.clone(), Arc::clone(&error))));
            if asked > 1 {
                failures.extend(self.learn_each(&left).await);
            }
        }
        let known = lock(&self.platforms);
        let platform = |id: ImageId| {
            let failure = failures.get(&id).cloned();
            let platform = known.get(&id).cloned();
            let answer = platform.ok_or_else(|| failure.unwrap_or_else(|| Arc::new(untold(&id))));
            (id, answer)
        };
        images.into_iter().map(platform).collect()
    }

    fn unknown(&self, images: &BTreeSet<ImageId>) -> Vec<ImageId> {
        let known = lock(&self.platforms);
        images.iter().filter(|id| !known.contains_key(id)).cloned().collect()
    }

    /// Reads the platforms of `images` in one call, which fails if one of them cannot be inspected.
    async fn learn_platforms(&self, images: &[ImageId]) -> Result<(), PodmanError> {
        let answer = self.podman.run(Verb::ImageInspect, argv::inspect_images(images)).await?;
        let told = listing::inspected(&answer)?.into_iter();
        lock(&self.platforms).extend(told.map(|image| (image.id, image.platform)));
        match self.unknown(&images.iter().cloned().collect()).first() {
            Some(id) => Err(untold(id)),
            None => Ok(()),
        }
    }

    /// Reads the platforms of `images` one by one, and returns the failures.
    async fn learn_each(&self, images: &[ImageId]) -> BTreeMap<ImageId, Arc<PodmanError>> {
        let mut failures = BTreeMap::new();
        for some in images.chunks(AT_ONCE) {
            let mut calls = JoinSet::new();
            for id in some.iter().cloned() {
                let podman = self.podman.clone();
                calls.spawn(async move {
                    let args = argv::inspect_images([&id]);
                    let answer = podman.run(Verb::ImageInspect, args).await;
                    (id, answer.and_then(|answer| listing::inspected(&answer)))
                });
            }
            while let Some(call) = calls.join_next().await {
                match call {
                    Ok((_, Ok(told))) => lock(&self.platforms)
                        .extend(told.into_iter().map(|image| (image.id, image.platform))),
                    Ok((id, Err(error))) => {
                        failures.insert(id, Arc::new(error));
                    }
                    // It panicked: the failure of the combined call stays.
                    Err(_) => {}
                }
            }
        }
        failures
    }
}

/// The error for an image that podman does not describe.
fn untold(image: &ImageId) -> PodmanError {
    let why = format!("no description of the image {image}");
    PodmanError::Unreadable { call: Verb::ImageInspect, source: serde::de::Error::custom(why) }
}
