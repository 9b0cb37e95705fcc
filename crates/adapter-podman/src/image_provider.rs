//! [`PodmanImages`]: images by `podman build`, `podman pull` and one listing for all of them.
//!
//! What is present is what podman lists, never what a call promised: each build and pull is read
//! back. A listing is asked for only when the store's own index changed, so a converged observation
//! starts no process. This never contacts a registry to read, never pulls what is present, and never
//! removes what does not carry our labels.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageId, ImageRef, ImageSource, ImageState, PresentImage};
use companion_core::ports::{ImageProvider, PortError, PortErrorKind, PortResult};
use tokio::sync::OnceCell;

use crate::command::{Podman, argv};
use crate::context::{self, Context, ContextError};
use crate::error::{PodmanError, Verb, port_error};

mod ensure;
pub(crate) mod listing;
mod remembered;
mod store_index;

use listing::{ListedImage, Platform};
use remembered::{FoundIndex, Listing};

pub(crate) use remembered::RememberedStore;

/// Why the image of a source could not be observed or provided.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A call of podman failed; shared, for one listing answers for many sources.
    #[error(transparent)]
    Podman(Arc<PodmanError>),
    /// The build context cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
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
    #[error("its build context changed while it was built")]
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
/// the store's index stays the same file, by a podman with a memory also from one process to the next
/// ([`Podman::remembering`]); a store that is moved while this lives, to another graph root or driver,
/// is seen by the next one.
#[derive(Debug)]
pub struct PodmanImages {
    podman: Podman,
    host: Platform,
    index: OnceCell<FoundIndex>,
    known: Mutex<Option<Listing>>,
    /// An id stands for one content for ever, so its platform is asked once.
    platforms: Mutex<BTreeMap<ImageId, Platform>>,
    turns: Mutex<BTreeMap<ImageRef, Arc<tokio::sync::Mutex<()>>>>,
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
            index: OnceCell::new(),
            known: Mutex::default(),
            platforms: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    async fn list(&self) -> Result<Vec<ListedImage>, PodmanError> {
        // Podman 4 prints `null` where there is none.
        let images: Option<Vec<ListedImage>> =
            self.podman.query(Verb::Images, argv::images()).await?;
        let mut images = images.unwrap_or_default();
        images.iter_mut().for_each(ListedImage::keep_our_labels);
        Ok(images)
    }

    /// Reads all sources; an error of the one listing is everyone's.
    async fn read(
        &self,
        sources: &BTreeMap<CompanionName, ImageSource>,
    ) -> BTreeMap<CompanionName, Result<Found, ImageError>> {
        let contexts = contexts(sources).await;
        let listing = self.listed_with_platforms(sources).await;
        let mut contexts = contexts.into_iter();
        sources
            .iter()
            .map(|(name, source)| {
                let context = contexts.next().unwrap_or(Err(ImageError::Interrupted));
                let found = match &listing {
                    Ok(images) => context.map(|context| self.found(source, context, images)),
                    Err(error) => Err(ImageError::Podman(Arc::clone(error))),
                };
                (name.clone(), found)
            })
            .collect()
    }

    async fn listed_with_platforms(
        &self,
        sources: &BTreeMap<CompanionName, ImageSource>,
    ) -> Result<Arc<Vec<ListedImage>>, Arc<PodmanError>> {
        let images = self.listing().await?;
        let present = sources.values().filter_map(|source| listing::present(source, &images));
        self.learn_platforms(present.map(|image| image.id).collect(), &images).await?;
        self.podman.keep().await;
        Ok(images)
    }

    fn found(
        &self,
        source: &ImageSource,
        context: Option<Context>,
        images: &[ListedImage],
    ) -> Found {
        let named = listing::present(source, images);
        let platforms = lock(&self.platforms);
        let misfit = named
            .as_ref()
            .and_then(|image| platforms.get(&image.id))
            .filter(|platform| **platform != self.host)
            .cloned();
        Found {
            context,
            present: named.filter(|_| misfit.is_none()),
            misfit,
            leftovers: listing::leftovers(source, images),
        }
    }
}

/// The contexts of `sources`, in their order.
async fn contexts(
    sources: &BTreeMap<CompanionName, ImageSource>,
) -> Vec<Result<Option<Context>, ImageError>> {
    let builds: Vec<_> = sources.values().map(|source| source.build.clone()).collect();
    let find = move || {
        builds
            .iter()
            .map(|build| match build {
                Some(build) => context::find(build).map_err(ImageError::from),
                None => Ok(None),
            })
            .collect()
    };
    // It fails only with the runtime; the caller then finds no entry and says so.
    tokio::task::spawn_blocking(find).await.unwrap_or_default()
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
        let read = self.read(sources).await;
        sources
            .iter()
            .zip(read)
            .map(|((_, source), (name, found))| {
                let state = found.map(|found| found.state());
                (name, state.map_err(|error| error.of_port(source, "observed")))
            })
            .collect()
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
        // Asked anew: what got a name or a container since it was observed is no leftover.
        let images = self.list().await.map_err(failed)?;
        let still = |id: &&ImageId| {
            let same = |image: &&ListedImage| image.id == id.as_str();
            images.iter().find(same).is_some_and(ListedImage::is_leftover)
        };
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
