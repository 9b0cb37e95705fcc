//! [`PodmanImages`]: images by `podman build`, `podman pull` and one listing for all of them.
//!
//! What is present is what podman lists, never what a call promised: each build and pull is read
//! back. A listing is asked for only when the store's own index changed, so a converged observation
//! starts no process. Each source gets its own answer: a context that cannot be read and an image that
//! podman cannot describe concern one companion. This never contacts a registry to read, never pulls
//! what is present, and never removes what does not carry our labels.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageId, ImageRef, ImageSource, ImageState, PresentImage};
use companion_core::ports::{ImageProvider, PortError, PortErrorKind, PortResult};

use crate::command::{Podman, argv};
use crate::context::{Context, ContextError, Contexts};
use crate::error::{PodmanError, Verb, port_error};

mod ensure;
mod listed;
pub(crate) mod listing;

use listed::{Listed, Platforms};
use listing::{Listing, Platform};

/// Why the image of a source could not be observed or provided.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A call of podman failed; shared, for one listing answers for many sources.
    #[error(transparent)]
    Podman(Arc<PodmanError>),
    /// The build context cannot be used; shared, for companions may share a context.
    #[error(transparent)]
    Context(Arc<ContextError>),
    /// There is nothing to build from and nowhere to pull from.
    #[error("it has neither a build context on this host nor a registry")]
    NoSource,
    /// A name for a build that the host could take for a registry's.
    #[error("what is built must be named `localhost/…`, without a digest")]
    BuildName,
    /// The image is for another kind of machine.
    #[error("it is made for {found}, and this host is {host}")]
    WrongPlatform {
        /// What the image says of itself, such as `linux/arm64`.
        found: String,
        /// What the host is.
        host: String,
    },
    /// Podman reported success, and what was read back is another state.
    #[error("`{0}` succeeded, but the image it should have given is not there")]
    NotReadBack(Verb),
    /// The context changed under the build.
    #[error("build context changed while it was built")]
    ContextChanged,
    /// The build failed, and so did the pull that was the way out.
    #[error("it could be neither built ({build}) nor pulled")]
    BuildAndPull {
        /// Why it was not built.
        build: Box<ImageError>,
        /// Why it was not pulled.
        #[source]
        pull: Box<ImageError>,
    },
    /// The program is being shut down.
    #[error("it was interrupted")]
    Interrupted,
}

impl From<PodmanError> for ImageError {
    fn from(error: PodmanError) -> Self {
        Self::Podman(Arc::new(error))
    }
}

impl ImageError {
    /// What the caller of the port can do about it.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Podman(error) => error.kind(),
            Self::Context(error) => error.kind(),
            Self::NoSource => PortErrorKind::NotFound,
            Self::BuildName | Self::WrongPlatform { .. } => PortErrorKind::Invalid,
            Self::NotReadBack(_) | Self::ContextChanged | Self::Interrupted => {
                PortErrorKind::Transient
            }
            // The registry may come back; if it has no such image, the context must be mended.
            Self::BuildAndPull { build, pull } => match pull.kind() {
                PortErrorKind::NotFound => build.kind(),
                kind => kind,
            },
        }
    }

    fn of_port(self, source: &ImageSource, what: &str) -> PortError {
        let kind = self.kind();
        let message = match reference(source) {
            Some(reference) => format!("image `{reference}` could not be {what}"),
            None => format!("an image without a name could not be {what}"),
        };
        port_error(kind, message, self)
    }
}

/// The name that stands for `source`: that of its build, or of its pull.
fn reference(source: &ImageSource) -> Option<&ImageRef> {
    let built = source.build.as_ref().map(|build| &build.reference);
    built.or(source.pull.as_ref().map(|pull| &pull.reference))
}

/// Images by podman.
///
/// An image of another platform than the host's is not taken for present. A listing is kept while
/// Podman, its settings and the store's index stay the same files.
#[derive(Debug)]
pub struct PodmanImages {
    podman: Podman,
    host: Platform,
    contexts: Contexts,
    known: Mutex<Option<Listed>>,
    /// Of listed images: an id stands for one content, so its platform is asked for once.
    platforms: Mutex<BTreeMap<ImageId, Platform>>,
    /// Held while an image is provided: two companions of one image then cause one build.
    locks: Mutex<BTreeMap<ImageRef, Arc<tokio::sync::Mutex<()>>>>,
}

/// What the host has of a source, before the platform is judged.
struct Found {
    context: Option<Context>,
    present: Option<PresentImage>,
    /// The platform of an image that has the name and does not fit the host.
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
    /// Images by `podman`.
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

    /// Reads each of `sources`, in their order. A failure of the one listing is everyone's.
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

/// What is guarded is whole after each statement, whatever became of the one who held it.
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
                (name.clone(), state.map_err(|error: ImageError| error.of_port(source, "observed")))
            };
        sources.iter().zip(read).map(answer).collect()
    }

    async fn ensure(&self, source: &ImageSource) -> PortResult<PresentImage> {
        let provided = self.provide(source).await;
        provided.map_err(|error| error.of_port(source, "provided"))
    }

    async fn prune(&self, leftovers: &[ImageId]) -> PortResult<()> {
        let failed = |error: PodmanError| {
            let message = "images that a newer build replaced could not be removed";
            port_error(error.kind(), message, error)
        };
        if leftovers.is_empty() {
            return Ok(());
        }
        // Asked again: what got a name or a container since it was observed is no leftover.
        let answer = self.podman.run(Verb::Images, argv::images()).await.map_err(failed)?;
        let images = Listing::parse(&answer).map_err(failed)?;
        let still = |id: &&ImageId| images.is_leftover(id);
        let mut first_error = None;
        for id in leftovers.iter().filter(still) {
            match self.podman.run(Verb::ImageRm, argv::remove_image(id)).await {
                Ok(_) => tracing::info!(%id, "removed an image that a newer build replaced"),
                // podman-image-rm(1): 1 there is no such image, 2 it is in use.
                Err(PodmanError::Failed { status: Some(1 | 2), .. }) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(()), |error| Err(failed(error)))
    }
}
