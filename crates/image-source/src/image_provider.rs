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

use crate::context::{Context, ContextError, Contexts};
use crate::engine::{EngineError, EngineResult, ImageEngine};
use crate::listing::{Listing, Platform};
use crate::lock;
use crate::records::{ImageRecords, Record, RecordError};

mod archived;
mod durable;
mod ensure;
mod remove;

use durable::Durable;

/// Why observing or providing the image of a source failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A call of the engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The build context cannot be used; shared, because companions may share a context.
    #[error(transparent)]
    Context(Arc<ContextError>),
    /// The records of what was made cannot be used.
    #[error(transparent)]
    Records(Arc<RecordError>),
    /// There is neither a context to build from nor a registry to pull from.
    #[error("no build context on this host and no registry reference")]
    NoSource,
    /// A build name that could be mistaken for a registry's.
    #[error("the name of a built image must be `localhost/…`, without a digest")]
    BuildName,
    /// The image has another platform than the host.
    #[error("the image is for {found}, but this host is {host}")]
    WrongPlatform {
        /// The image's platform, such as `linux/arm64`.
        found: String,
        /// The host's platform.
        host: String,
    },
    /// The engine reported success, but the image read back differs.
    #[error("the {0} succeeded, but the image is missing")]
    NotReadBack(&'static str),
    /// The context changed during the build.
    #[error("build context changed during the build")]
    ContextChanged,
    /// The image is damaged, but not only ours.
    #[error(
        "the image is damaged and has the name `{name}` too; remove it: `podman image rm --force {id}`"
    )]
    DamagedAndShared {
        /// Its ID.
        id: ImageId,
        /// Its other name, escaped.
        name: String,
    },
    /// The build failed, and so did the fallback pull.
    #[error("build failed: {build}; pull failed")]
    BuildAndPull {
        /// Why the build failed.
        build: Box<ImageError>,
        /// Why the pull failed.
        #[source]
        pull: Box<ImageError>,
    },
}

impl ImageError {
    /// Returns the port error kind.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Engine(error) => error.kind,
            Self::Context(error) => error.kind(),
            Self::Records(error) => error.kind(),
            Self::NoSource => PortErrorKind::NotFound,
            Self::BuildName | Self::WrongPlatform { .. } => PortErrorKind::Invalid,
            Self::NotReadBack(_) | Self::ContextChanged => PortErrorKind::Transient,
            Self::DamagedAndShared { .. } => PortErrorKind::Conflict,
            // The registry may become available again; if it has no such image, the context needs a fix.
            Self::BuildAndPull { build, pull } => match pull.kind() {
                PortErrorKind::NotFound => build.kind(),
                kind => kind,
            },
        }
    }

    fn of_port(self, source: &ImageSource, what: &str) -> PortError {
        let kind = self.kind();
        let message = match source.reference() {
            Some(reference) => format!("failed to {what} image `{reference}`"),
            None => format!("failed to {what} an image without a name"),
        };
        PortError::new(kind, message).with_source(self)
    }
}

impl From<RecordError> for ImageError {
    fn from(error: RecordError) -> Self {
        Self::Records(Arc::new(error))
    }
}

/// The images of an engine. An image of another platform counts as missing.
#[derive(Debug)]
pub struct Images<E> {
    engine: Arc<E>,
    host: Platform,
    contexts: Contexts,
    /// What was made last for each source; without it, labels alone tell what was built here.
    records: Option<ImageRecords>,
    /// The platforms of the images in a listing.
    platforms: Mutex<Platforms>,
    /// The listed images that survive a power loss.
    durable: Durable,
    watch: Watch,
    /// Per-image locks: two companions with the same image cause one build.
    locks: Mutex<BTreeMap<ImageRef, Arc<tokio::sync::Mutex<()>>>>,
}

/// The platforms of images, each read once for a listing. An ID identifies the content, but a store that changed may
/// be damaged.
#[derive(Debug, Default)]
struct Platforms {
    listing: Option<Arc<Listing>>,
    known: BTreeMap<ImageId, Platform>,
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
    /// Whether the labels of the present image say that it was built for the source.
    has_our_labels: bool,
}

/// An image with the right name that the engine refuses as damaged.
struct Damage {
    image: PresentImage,
    /// A name that it has besides ours.
    other_name: Option<String>,
    error: EngineError,
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

    /// Returns whether the present image may have been built here before builds were recorded, or before the records were
    /// lost. It is never current, but no pull replaces it: the registry may have an older one.
    fn may_be_last_good(&self) -> bool {
        self.present.is_some() && self.record.is_none() && self.has_our_labels
    }
}

impl<E: ImageEngine + 'static> Images<E> {
    /// Creates the provider over `engine`.
    #[must_use]
    pub fn new(engine: E) -> Self {
        Self {
            engine: Arc::new(engine),
            host: Platform::host(),
            contexts: Contexts::default(),
            records: None,
            platforms: Mutex::default(),
            durable: Durable::default(),
            watch: Watch::default(),
            locks: Mutex::default(),
        }
    }

    /// Keeps records and archives of the images.
    #[must_use]
    pub fn with_records(self, records: ImageRecords) -> Self {
        Self { records: Some(records), ..self }
    }

    /// Reads the record of each of `sources`, in order.
    async fn recorded(&self, sources: &[&ImageSource]) -> Vec<Result<Option<Record>, ImageError>> {
        let Some(records) = &self.records else {
            return sources.iter().map(|_| Ok(None)).collect();
        };
        let references = sources.iter().map(|source| source.reference().cloned());
        match records.read(references.collect(), self.engine.file_limit()).await {
            Ok(read) => read
                .into_iter()
                .map(|one| one.map_err(|error| RecordError::from(error).into()))
                .collect(),
            Err(error) => {
                let error = Arc::new(error);
                sources.iter().map(|_| Err(ImageError::Records(Arc::clone(&error)))).collect()
            }
        }
    }

    /// Reads each of `sources`, in order. A failed listing affects all of them, a failed sync those whose image may be
    /// lost by a power loss.
    async fn read(
        &self,
        sources: &[&ImageSource],
        sync_limit: Duration,
    ) -> Vec<Result<Found, ImageError>> {
        let builds: Vec<_> = sources.iter().map(|source| source.build.as_ref()).collect();
        let limit = self.engine.file_limit();
        let (contexts, listing, records) = tokio::join!(
            self.contexts.find_all(&builds, limit),
            self.engine.list(),
            self.recorded(sources),
        );
        let listing = match listing {
            Ok(listing) => listing,
            Err(error) => return sources.iter().map(|_| Err(error.clone().into())).collect(),
        };
        let named: Vec<_> = sources
            .iter()
            .zip(&records)
            .map(|(source, record)| listing.present(source, |id| self.is_built(record, id)))
            .collect();
        let ids = named.iter().flatten().flatten().map(|image| image.id.clone());
        let platforms = self.platforms(&listing, ids.collect()).await;
        let volatile = self.sync(&listing, &platforms, sync_limit).await;
        let parts = sources.iter().zip(contexts).zip(named.into_iter().zip(records));
        parts
            .map(|((source, context), (named, record))| {
                let (context, named) = (context.map_err(ImageError::Context)?, named?);
                let (dangling, record) = (listing.dangling(source), record?);
                let mut found = Found {
                    context,
                    present: None,
                    mismatch: None,
                    damage: None,
                    dangling,
                    record,
                    has_our_labels: named.as_ref().is_some_and(|it| listing.has_our_labels(it)),
                };
                let Some(image) = named else { return Ok(found) };
                let platform = platforms.get(&image.id).cloned();
                match platform.unwrap_or_else(|| Err(undescribed(&image.id))) {
                    Err(error) if error.is_damage => {
                        let other_name = listing.other_name(&image);
                        found.damage = Some(Damage { image, other_name, error });
                    }
                    Ok(platform) if platform != self.host => found.mismatch = Some(platform),
                    Ok(_) => match volatile.get(&image.id) {
                        Some(error) => return Err(error.clone().into()),
                        None => found.present = Some(image),
                    },
                    Err(error) => return Err(error.into()),
                }
                Ok(found)
            })
            .collect()
    }

    /// Returns whether `record` says that the image `id` was made here; without records, its labels decide.
    fn is_built(&self, record: &Result<Option<Record>, ImageError>, id: &ImageId) -> bool {
        let recorded = record.as_ref().is_ok_and(|it| it.as_ref().is_some_and(|it| it.id == *id));
        recorded || self.records.is_none()
    }

    /// Returns the platform of each of `images`, and asks the engine for unknown ones.
    async fn platforms(
        &self,
        listing: &Arc<Listing>,
        images: BTreeSet<ImageId>,
    ) -> BTreeMap<ImageId, EngineResult<Platform>> {
        let known = {
            let mut platforms = lock(&self.platforms);
            if !platforms.listing.as_ref().is_some_and(|known| Arc::ptr_eq(known, listing)) {
                *platforms =
                    Platforms { listing: Some(Arc::clone(listing)), known: BTreeMap::new() };
            }
            platforms.known.clone()
        };
        let unknown: BTreeSet<_> =
            images.into_iter().filter(|id| !known.contains_key(id)).collect();
        let mut found: BTreeMap<_, _> = known.into_iter().map(|(id, one)| (id, Ok(one))).collect();
        if !unknown.is_empty() {
            found.extend(self.engine.platforms(&unknown).await);
            let described =
                found.iter().filter_map(|(id, one)| Some((id.clone(), one.clone().ok()?)));
            lock(&self.platforms).known.extend(described);
        }
        found
    }

    /// Returns the error of each of the readable `images` that a power loss may still take.
    async fn sync(
        &self,
        listing: &Listing,
        images: &BTreeMap<ImageId, EngineResult<Platform>>,
        limit: Duration,
    ) -> BTreeMap<ImageId, EngineError> {
        self.durable.keep_only(|id| listing.images.iter().any(|image| image.id == *id));
        let readable = images.iter().filter(|(_, platform)| platform.is_ok());
        let readable = readable.map(|(id, _)| id.clone()).collect();
        self.durable.sync(&self.engine, readable, limit).await.into_iter().collect()
    }
}

fn undescribed(image: &ImageId) -> EngineError {
    let text = format!("the engine does not describe the image {image}");
    EngineError::new(PortErrorKind::Unavailable, text)
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
        let limit = self.engine.file_limit();
        let read = self.read(&sources.values().collect::<Vec<_>>(), limit).await;
        let answer =
            |((name, source), found): ((&CompanionName, &ImageSource), Result<Found, _>)| {
                let state = found.map(|found| found.state());
                (name.clone(), state.map_err(|error: ImageError| error.of_port(source, "observe")))
            };
        sources.iter().zip(read).map(answer).collect()
    }

    async fn ensure(&self, source: &ImageSource) -> PortResult<PresentImage> {
        let provided = self.provide(source).await;
        provided.map_err(|error| error.of_port(source, "provide"))
    }

    async fn keep_archives(&self, sources: &[ImageSource]) -> PortResult<usize> {
        let kept = self.keep_archives_of(sources).await;
        kept.map_err(|error| {
            PortError::new(error.kind(), "failed to keep archives of images").with_source(error)
        })
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
        let failed = |error: EngineError| {
            let message = "failed to remove dangling images";
            PortError::new(error.kind, message).with_source(error)
        };
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
