//! [`Images`]: images of any engine, by builds, pulls and one listing for all of them.
//!
//! Only the engine's listing decides what is present: each build and pull is read back. Each source gets its own result:
//! an unreadable context or image affects only its companion. This provider never contacts a registry to read, never
//! pulls a present image, and removes no image without our labels but a damaged one of the source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{
    ImageId, ImageRef, ImageSource, ImageState, PresentImage, Provenance,
};
use companion_core::ports::{Hint, ImageProvider, PortError, PortErrorKind, PortResult};
use host_files::watch::{Place, Watch};

use crate::context::{Context, Contexts};
use crate::engine::{EngineError, EngineResult, ImageEngine};
use crate::listing::{Listing, Platform};
use crate::lock;
use crate::records::{ImageRecords, Record};

mod archived;
mod durable;
mod ensure;

use durable::Durable;

/// The images of an engine. An image of another platform counts as missing.
#[derive(Debug)]
pub struct Images<E> {
    engine: Arc<E>,
    contexts: Contexts,
    /// What was made last for each source.
    records: ImageRecords,
    /// The platforms of the images in a listing, each read once. An ID identifies the content, but a store that changed
    /// may be damaged.
    platforms: Mutex<(Arc<Listing>, BTreeMap<ImageId, Platform>)>,
    /// The listed images that survive a power loss.
    durable: Durable,
    watch: Watch,
    /// Per-image locks: two companions with the same image cause one build.
    locks: Mutex<BTreeMap<ImageRef, Arc<tokio::sync::Mutex<()>>>>,
}

/// What the host has of a source.
struct Found {
    context: Option<Context>,
    present: Option<PresentImage>,
    /// The platform of an image with the right name but the wrong platform.
    mismatch: Option<Platform>,
    damage: Option<Damage>,
    dangling: Vec<ImageId>,
    record: Option<Record>,
}

/// An image with the right name that the engine refuses as damaged.
struct Damage {
    image: PresentImage,
    /// Another name that it has.
    other_name: Option<String>,
    error: PortError,
}

impl Found {
    fn state(&self) -> ImageState {
        ImageState {
            context: self.context.as_ref().map(|context| context.digest),
            present: self.present.clone(),
            damaged: self.damage.is_some(),
            dangling: self.dangling.clone(),
        }
    }

    /// Returns whether the host has no usable image that was made for the source.
    fn is_lost(&self) -> bool {
        let unmanaged = |image: &PresentImage| image.provenance == Provenance::Unmanaged;
        self.present.as_ref().is_none_or(unmanaged)
    }
}

/// The engine reported success, but the image read back differs.
fn not_read_back(step: &str) -> EngineError {
    let message = format!("the {step} succeeded, but the image is missing");
    PortError::new(PortErrorKind::Transient, message).into()
}

impl<E: ImageEngine + 'static> Images<E> {
    /// Creates the provider over `engine`, with records and archives of the images.
    #[must_use]
    pub fn new(engine: E, records: ImageRecords) -> Self {
        Self {
            engine: Arc::new(engine),
            contexts: Contexts::default(),
            records,
            platforms: Mutex::default(),
            durable: Durable::default(),
            watch: Watch::default(),
            locks: Mutex::default(),
        }
    }

    /// Reads each of `sources`, in order. A failed listing affects all of them, a failed sync those whose image may be
    /// lost by a power loss; without a limit, waits until the sync ends.
    async fn read(
        &self,
        sources: &[&ImageSource],
        sync_limit: Option<Duration>,
    ) -> Vec<EngineResult<Found>> {
        let builds: Vec<_> = sources.iter().map(|source| source.build.as_ref()).collect();
        let references = sources.iter().map(|source| source.reference().cloned()).collect();
        let limit = self.engine.file_limit();
        let (contexts, listing, records) = tokio::join!(
            self.contexts.find_all(&builds, limit),
            self.engine.list(),
            self.records.read(references, limit),
        );
        let listing = match listing {
            Ok(listing) => listing,
            Err(error) => return sources.iter().map(|_| Err(error.clone())).collect(),
        };
        let named: Vec<_> = sources
            .iter()
            .zip(&records)
            .map(|(source, record)| {
                let record = record.as_ref().ok().and_then(Option::as_ref);
                listing.present(source, |id| record.is_some_and(|record| record.id == *id))
            })
            .collect();
        let ids = named.iter().flatten().flatten().map(|image| image.id.clone());
        let platforms = self.platforms(&listing, ids.collect()).await;
        let volatile = self.sync(&listing, &platforms, sync_limit).await;
        let parts = sources.iter().zip(contexts).zip(named.into_iter().zip(records));
        parts
            .map(|((source, context), (named, record))| {
                let (context, named, record) = (context?, named?, record?);
                let dangling = listing.dangling(source);
                let mut found = Found {
                    context,
                    present: None,
                    mismatch: None,
                    damage: None,
                    dangling,
                    record,
                };
                let Some(image) = named else { return Ok(found) };
                match platforms.get(&image.id).cloned() {
                    Some(Err(EngineError::Damaged(error))) => {
                        let other_name = listing.other_name(&image).cloned();
                        found.damage = Some(Damage { image, other_name, error });
                    }
                    Some(Ok(platform)) if platform != Platform::host() => {
                        found.mismatch = Some(platform)
                    }
                    Some(Ok(_)) => match volatile.get(&image.id) {
                        Some(error) => return Err(error.clone()),
                        None => found.present = Some(image),
                    },
                    Some(Err(error)) => return Err(error),
                    None => {
                        let text = format!("the engine does not describe the image {}", image.id);
                        return Err(PortError::new(PortErrorKind::Unavailable, text).into());
                    }
                }
                Ok(found)
            })
            .collect()
    }

    /// Returns the platform of each of `images`, and asks the engine for unknown ones.
    async fn platforms(
        &self,
        listing: &Arc<Listing>,
        images: BTreeSet<ImageId>,
    ) -> BTreeMap<ImageId, EngineResult<Platform>> {
        let known = match &*lock(&self.platforms) {
            (of, known) if Arc::ptr_eq(of, listing) => known.clone(),
            _ => BTreeMap::new(),
        };
        let unknown: BTreeSet<_> =
            images.into_iter().filter(|id| !known.contains_key(id)).collect();
        let mut found: BTreeMap<_, _> = known.into_iter().map(|(id, one)| (id, Ok(one))).collect();
        if !unknown.is_empty() {
            found.extend(self.engine.platforms(&unknown).await);
            let described =
                found.iter().filter_map(|(id, one)| Some((id.clone(), one.clone().ok()?)));
            *lock(&self.platforms) = (Arc::clone(listing), described.collect());
        }
        found
    }

    /// Returns the error of each of the readable `images` that a power loss may still take.
    async fn sync(
        &self,
        listing: &Listing,
        images: &BTreeMap<ImageId, EngineResult<Platform>>,
        limit: Option<Duration>,
    ) -> BTreeMap<ImageId, EngineError> {
        self.durable.keep_only(|id| listing.images.iter().any(|image| image.id == *id));
        let readable = images.iter().filter(|(_, platform)| platform.is_ok());
        let readable = readable.map(|(id, _)| id.clone()).collect();
        self.durable.sync(&self.engine, readable, limit).await.into_iter().collect()
    }
}

fn failed_to(verb: &str, source: &ImageSource) -> impl FnOnce(EngineError) -> PortError {
    let image = match source.reference() {
        Some(reference) => format!("image `{reference}`"),
        None => "an image without a name".to_owned(),
    };
    let attempt = format!("{verb} {image}");
    move |error| error.during(&attempt)
}

#[async_trait]
impl<E: ImageEngine + 'static> ImageProvider for Images<E> {
    async fn observe(
        &self,
        sources: &BTreeMap<CompanionName, ImageSource>,
    ) -> BTreeMap<CompanionName, PortResult<ImageState>> {
        if sources.is_empty() {
            return BTreeMap::new();
        }
        let limit = Some(self.engine.file_limit());
        let read = self.read(&sources.values().collect::<Vec<_>>(), limit).await;
        let states = sources.iter().zip(read).map(|((name, source), found)| {
            let state = found.map(|found| found.state());
            (name.clone(), state.map_err(failed_to("observe", source)))
        });
        states.collect()
    }

    async fn ensure(&self, source: &ImageSource) -> PortResult<PresentImage> {
        self.provide(source).await.map_err(failed_to("provide", source))
    }

    async fn keep_archives(&self, sources: &[ImageSource]) -> PortResult<usize> {
        self.keep_archives_of(sources).await
    }

    /// Companions may share images and contexts.
    async fn changed(&self) -> Hint {
        let contexts = self.contexts.directories().into_iter().map(Place::directory);
        let files = self.engine.watched_files();
        let files = files.iter().filter_map(|file| Place::file(file));
        let _files = self.watch.changed(contexts.chain(files).collect()).await;
        Hint::All
    }

    async fn prune(&self, dangling: &[ImageId]) -> PortResult<()> {
        let failed = |error: EngineError| error.during("remove dangling images");
        if dangling.is_empty() {
            return Ok(());
        }
        // Check again: an image that got a name or a container since the observation is not dangling.
        let listing = self.engine.list().await.map_err(failed)?;
        let mut first_error = None;
        for id in dangling {
            let Some(reference) = listing.dangling_of(id) else { continue };
            let lock = self.lock_of(&reference);
            // A running build may need it: the image of a stage has no user until the next stage begins.
            let Ok(_held) = lock.try_lock() else { continue };
            match self.engine.remove(id).await {
                Ok(true) => tracing::info!(%id, image = %reference, "removed a dangling image"),
                Ok(false) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(()), |error| Err(failed(error)))
    }
}

/// Removes the images that were built here for `sources`, by ID and never by force, and those that they replaced. Returns
/// their number. An image that a container uses stays, and so does one with another name, and a pulled one: another program
/// may need it.
///
/// The caller knows that no companion needs them.
///
/// # Errors
/// As for [`prune`](companion_core::ports::ImageProvider::prune); the other images are removed all the same.
pub async fn remove_built(engine: &impl ImageEngine, sources: &[ImageSource]) -> PortResult<usize> {
    let failed = |error: EngineError| error.during("remove images");
    let listing = engine.list().await.map_err(failed)?;
    let (mut removed, mut first_error) = (0, None);
    for source in sources {
        for id in listing.built(source).into_iter().chain(listing.dangling(source)) {
            match engine.remove(&id).await {
                Ok(done) => removed += usize::from(done),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
    }
    first_error.map_or(Ok(removed), |error| Err(failed(error)))
}
