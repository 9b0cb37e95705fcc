//! What podman said of its store, from one process to the next: where it is, the platforms of images,
//! and the last listing with the state of the store that it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use companion_core::model::image::ImageId;
use serde::{Deserialize, Serialize};

use super::listing::{InspectedImage, ListedImage, Platform};
use super::store_index::{Info, StoreIndex, StoreState};
use super::{PodmanImages, lock};
use crate::command::argv;
use crate::error::{PodmanError, Verb};
use crate::memory::{Basis, Record};

/// What podman said of its store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RememberedStore {
    info: Info,
    /// Of the images that were asked about and are still listed.
    platforms: BTreeMap<ImageId, Platform>,
    pub(crate) listing: Option<Listing>,
}

/// A listing, true as long as the store is in this state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    pub(super) state: StoreState,
    pub(super) images: Arc<Vec<ListedImage>>,
}

/// Where the store is, by which words of podman.
#[derive(Debug)]
pub(super) struct FoundIndex {
    index: StoreIndex,
    /// When it said so, and on what that depended.
    asked: SystemTime,
    basis: Option<Basis>,
}

impl FoundIndex {
    /// What is noted of this store.
    fn noted<'a>(&self, record: &'a mut Record) -> &'a mut RememberedStore {
        let info = self.index.info();
        if record.store.as_ref().is_some_and(|store| store.info != *info) {
            record.store = None;
        }
        record.store.get_or_insert_with(|| RememberedStore {
            info: info.clone(),
            platforms: BTreeMap::new(),
            listing: None,
        })
    }
}

impl PodmanImages {
    /// All images, by the last listing if the store is as it was then.
    pub(super) async fn listing(&self) -> Result<Arc<Vec<ListedImage>>, PodmanError> {
        let found = self.index.get_or_try_init(|| self.find_index()).await?;
        let index = &found.index;
        let before = index.state();
        if let Some(now) = &before {
            if let Some(known) = &*lock(&self.known)
                && known.state == *now
            {
                return Ok(Arc::clone(&known.images));
            }
            if let Some(recalled) = self.recalled(found, now).await {
                let images = Arc::clone(&recalled.images);
                *lock(&self.known) = Some(recalled);
                return Ok(images);
            }
        }
        let asked = SystemTime::now();
        let images: Arc<Vec<ListedImage>> = Arc::new(self.list().await?);
        let ids = images.iter().map(|image| image.id.as_str());
        // Kept only if nothing changed under the listing, and the index is this store's.
        let listing = before
            .filter(|before| index.state().as_ref() == Some(before) && index.names_all(ids))
            .map(|state| Listing { state, images: Arc::clone(&images) });
        (*lock(&self.known)).clone_from(&listing);
        // A change within the same tick of the clock as the last one could not be seen. This process
        // listed later than that; the next one cannot know.
        let settled =
            |listing: &Listing| listing.state.was_settled(asked, self.podman.settle_time());
        if let Some(listing) = listing.filter(settled) {
            let note = |record: &mut Record| found.noted(record).listing = Some(listing);
            self.podman.remember(found.basis.as_ref(), found.asked, note).await;
        }
        Ok(images)
    }

    async fn find_index(&self) -> Result<FoundIndex, PodmanError> {
        let (basis, asked) = (self.podman.basis(), SystemTime::now());
        let known = self.podman.recall(basis.as_ref(), |record| {
            record.store.clone().map(|store| (record.since, store))
        });
        if let Some((since, RememberedStore { info, platforms, .. })) = known.await {
            lock(&self.platforms).extend(platforms);
            return Ok(FoundIndex { index: StoreIndex::of(info), asked: since, basis });
        }
        let info = self.podman.query(Verb::Info, argv::info()).await?;
        let found = FoundIndex { index: StoreIndex::of(info), asked, basis };
        let note = |record: &mut Record| {
            found.noted(record);
        };
        self.podman.remember(found.basis.as_ref(), asked, note).await;
        Ok(found)
    }

    async fn recalled(&self, found: &FoundIndex, now: &StoreState) -> Option<Listing> {
        let listing = self.podman.recall(found.basis.as_ref(), |record| {
            let store = record.store.as_ref().filter(|store| store.info == *found.index.info())?;
            store.listing.clone().filter(|listing| listing.state == *now)
        });
        listing.await
    }

    /// Asks for the platforms of those `images` of which it is not known, and notes those of all
    /// that are `listed`.
    pub(super) async fn learn_platforms(
        &self,
        images: BTreeSet<ImageId>,
        listed: &[ListedImage],
    ) -> Result<(), PodmanError> {
        let unknown: Vec<ImageId> = {
            let known = lock(&self.platforms);
            images.into_iter().filter(|id| !known.contains_key(id)).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let args = argv::inspect_images(&unknown);
        let inspected: Vec<InspectedImage> = self.podman.query(Verb::ImageInspect, args).await?;
        let learnt = inspected
            .into_iter()
            .filter_map(|image| Some((ImageId::new(&image.id).ok()?, image.platform)));
        lock(&self.platforms).extend(learnt);
        let mut platforms = lock(&self.platforms).clone();
        let listed: BTreeSet<_> =
            listed.iter().filter_map(|image| ImageId::new(&image.id).ok()).collect();
        platforms.retain(|id, _| listed.contains(id));
        if let Some(found) = self.index.get() {
            let note = |record: &mut Record| found.noted(record).platforms = platforms;
            self.podman.remember(found.basis.as_ref(), found.asked, note).await;
        }
        Ok(())
    }
}
