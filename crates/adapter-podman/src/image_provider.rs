//! [`PodmanImages`]: images by `podman build`, `podman pull` and one listing for all of them.
//!
//! Only podman's listing decides what is present: each build and pull is read back. The listing is refreshed only if
//! the store's index changed, so observing a converged host starts no process. Each source gets its own result: an
//! unreadable context or image affects only its companion. This provider never contacts a registry to read, never pulls
//! a present image, and never removes an image without our labels.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageId, ImageRef, ImageSource, ImageState, PresentImage};
use companion_core::ports::{ImageProvider, PortError, PortErrorKind, PortResult};
use image_source::{Context, ContextError, Contexts};

use crate::command::{Podman, argv};
use crate::error::{PodmanError, Verb, port_error};

mod ensure;
mod listed;
pub(crate) mod listing;

use listed::{Listed, Platforms};
use listing::{Listing, Platform};

/// Why observing or providing the image of a source failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A podman call failed; shared, because one listing serves many sources.
    #[error(transparent)]
    Podman(Arc<PodmanError>),
    /// The build context cannot be used; shared, because companions may share a context.
    #[error(transparent)]
    Context(Arc<ContextError>),
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
    /// Podman reported success, but the image read back differs.
    #[error("`{0}` succeeded, but the image is missing")]
    NotReadBack(Verb),
    /// The context changed during the build.
    #[error("build context changed during the build")]
    ContextChanged,
    /// The build failed, and so did the fallback pull.
    #[error("build failed: {build}; pull failed")]
    BuildAndPull {
        /// Why the build failed.
        build: Box<ImageError>,
        /// Why the pull failed.
        #[source]
        pull: Box<ImageError>,
    },
    /// The program is shutting down.
    #[error("the operation was interrupted")]
    Interrupted,
}

impl From<PodmanError> for ImageError {
    fn from(error: PodmanError) -> Self {
        Self::Podman(Arc::new(error))
    }
}

impl ImageError {
    /// Returns the port error kind.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Podman(error) => error.kind(),
            Self::Context(error) => error.kind(),
            Self::NoSource => PortErrorKind::NotFound,
            Self::BuildName | Self::WrongPlatform { .. } => PortErrorKind::Invalid,
            Self::NotReadBack(_) | Self::ContextChanged | Self::Interrupted => {
                PortErrorKind::Transient
            }
            // The registry may become available again; if it has no such image, the context needs a fix.
            Self::BuildAndPull { build, pull } => match pull.kind() {
                PortErrorKind::NotFound => build.kind(),
                kind => kind,
            },
        }
    }

    fn of_port(self, source: &ImageSource, what: &str) -> PortError {
        let kind = self.kind();
        let message = match reference(source) {
            Some(reference) => format!("failed to {what} image `{reference}`"),
            None => format!("failed to {what} an image without a name"),
        };
        port_error(kind, message, self)
    }
}

/// Returns the reference of `source`: that of its build, or of its pull.
fn reference(source: &ImageSource) -> Option<&ImageRef> {
    let built = source.build.as_ref().map(|build| &build.reference);
    built.or(source.pull.as_ref().map(|pull| &pull.reference))
}

/// The images of a podman.
///
/// An image of another platform counts as missing. A listing is cached while Podman, its settings and the store's index
/// are unchanged.
#[derive(Debug)]
pub struct PodmanImages {
    podman: Podman,
    host: Platform,
    contexts: Contexts,
    known: Mutex<Option<Listed>>,
    /// The platforms of listed images: an ID identifies the content, so each platform is read once.
    platforms: Mutex<BTreeMap<ImageId, Platform>>,
    /// Per-image locks: two companions with the same image cause one build.
    locks: Mutex<BTreeMap<ImageRef, Arc<tokio::sync::Mutex<()>>>>,
}

/// What the host has of a source, before the platform check.
struct Found {
    context: Option<Context>,
    present: Option<PresentImage>,
    /// The platform of an image with the right name but the wrong platform.
    misfit: Option<Platform>,
    leftovers: Vec<ImageId>,
}

impl Found {
    fn state(&self) -> ImageState {
        ImageState {
            context: self.context.as_ref().map(|context| context.digest),
            present: self.present.clone(),
            leftovers: self.leftovers.clone(),
        }
    }
}

impl PodmanImages {
    /// Creates the provider over `podman`.
    #[must_use]
    pub fn new(podman: Podman) -> Self {
        Self {
            podman,
            host: Platform::host(),
            contexts: Contexts::default(),
            known: Mutex::default(),
            platforms: Mutex::default(),
            locks: Mutex::default(),
        }
    }

    /// Reads each of `sources`, in order. A failed listing affects all of them.
    async fn read(&self, sources: &[&ImageSource]) -> Vec<Result<Found, ImageError>> {
        let builds: Vec<_> = sources.iter().map(|source| source.build.as_ref()).collect();
        let limit = self.podman.limits().files;
        let (contexts, listing) =
            tokio::join!(self.contexts.find_all(&builds, limit), self.listing());
        let listing = match listing {
            Ok(listing) => listing,
            Err(error) => {
                let error = Arc::new(error);
                return sources.iter().map(|_| Err(ImageError::Podman(error.clone()))).collect();
            }
        };
        let present: Vec<_> = sources.iter().map(|source| listing.present(source)).collect();
        let ids = present.iter().flatten().flatten().map(|image| image.id.clone());
        let platforms = self.platforms(ids.collect()).await;
        let parts = sources.iter().zip(contexts).zip(present);
        parts
            .map(|((source, context), present)| {
                let context = context.map_err(ImageError::Context)?;
                let leftovers = listing.leftovers(source);
                let present = present.map_err(ImageError::Podman)?;
                self.found(context, present, leftovers, &platforms)
            })
            .collect()
    }

    fn found(
        &self,
        context: Option<Context>,
        named: Option<PresentImage>,
        leftovers: Vec<ImageId>,
        platforms: &Platforms,
    ) -> Result<Found, ImageError> {
        let platform = match named.as_ref().and_then(|image| platforms.get(&image.id)) {
            Some(Ok(platform)) => Some(platform),
            Some(Err(error)) => return Err(ImageError::Podman(Arc::clone(error))),
            None => None,
        };
        let misfit = platform.filter(|platform| **platform != self.host).cloned();
        let present = named.filter(|_| misfit.is_none());
        Ok(Found { context, present, misfit, leftovers })
    }
}

/// The guarded data is consistent after each statement, so a poisoned lock is harmless.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl ImageProvider for PodmanImages {
    async fn observe(
        &self,
        sources: &BTreeMap<CompanionName, ImageSource>,
    ) -> BTreeMap<CompanionName, PortResult<ImageState>> {
        if sources.is_empty() {
            return BTreeMap::new();
        }
        self.contexts.keep_only(sources.values().filter_map(|source| source.build.as_ref()));
        let read = self.read(&sources.values().collect::<Vec<_>>()).await;
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

    async fn prune(&self, leftovers: &[ImageId]) -> PortResult<()> {
        let failed = |error: PodmanError| {
            let message = "failed to remove images replaced by a newer build";
            port_error(error.kind(), message, error)
        };
        if leftovers.is_empty() {
            return Ok(());
        }
        // Check again: an image that got a name or a container since the observation is not dangling.
        let answer = self.podman.run(Verb::Images, argv::images()).await.map_err(failed)?;
        let images = Listing::parse(&answer).map_err(failed)?;
        let still = |id: &&ImageId| images.is_leftover(id);
        let mut first_error = None;
        for id in leftovers.iter().filter(still) {
            match self.podman.run(Verb::ImageRm, argv::remove_image(id)).await {
                Ok(_) => tracing::info!(%id, "removed an image replaced by a newer build"),
                // podman-image-rm(1): 1 means that the image does not exist, 2 that it is in use.
                Err(PodmanError::Failed { status: Some(1 | 2), .. }) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(()), |error| Err(failed(error)))
    }
}
